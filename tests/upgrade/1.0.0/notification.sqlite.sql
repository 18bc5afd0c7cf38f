BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001.2_notification');
INSERT INTO "alembic_version" VALUES('0001.2_chassis');
CREATE TABLE attempt (
	reaction VARCHAR(200) NOT NULL, 
	event_id VARCHAR(200) NOT NULL, 
	attempts INTEGER NOT NULL, 
	attempted_at DATETIME NOT NULL, 
	PRIMARY KEY (reaction, event_id)
);
CREATE TABLE consumer (
	consumer VARCHAR(200) NOT NULL, 
	topic VARCHAR(200) NOT NULL, 
	"transaction" BIGINT NOT NULL, 
	position BIGINT NOT NULL, 
	acknowledged_at DATETIME NOT NULL, 
	PRIMARY KEY (consumer)
);
INSERT INTO "consumer" VALUES('order/show_notification_on_notification_released','NotificationReleased',0,3,'2026-11-29 07:54:54.513369');
INSERT INTO "consumer" VALUES('order/show_notification_on_notification_sent','NotificationSent',0,3,'2026-11-29 07:54:54.514975');
INSERT INTO "consumer" VALUES('order/show_notification_on_notification_failed','NotificationFailed',0,1,'2026-11-29 07:54:53.528671');
CREATE TABLE dead_letter (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	reaction VARCHAR(200) NOT NULL, 
	reason TEXT NOT NULL, 
	body BLOB NOT NULL, 
	received_at DATETIME NOT NULL, 
	event_id VARCHAR(200), 
	authentic BOOLEAN DEFAULT 1 NOT NULL, 
	state VARCHAR(20) DEFAULT 'OPEN' NOT NULL, 
	attempts INTEGER DEFAULT '1' NOT NULL, 
	replayed_at DATETIME, 
	discarded_at DATETIME, 
	discarded_by VARCHAR(255), 
	discarded_because VARCHAR(1000), 
	fingerprint VARCHAR(16) NOT NULL, 
	edited TEXT
);
INSERT INTO "dead_letter" VALUES(1,'notify_customer_on_order_created','IntegrityError: UNIQUE constraint failed: notification.order_id',X'7B227370656376657273696F6E223A2022312E30222C20226964223A2022616E6F746865722D6F662D746869732D6F72646572222C2022736F75726365223A20222F6F72646572222C202274797065223A20224F7264657243726561746564222C20227375626A656374223A202263663864343139382D356463392D343666632D626131622D306461313636383563353936222C202274696D65223A2022323032362D31312D32395430373A35343A35332E3532335A222C202264617461636F6E74656E7474797065223A20226170706C69636174696F6E2F6A736F6E222C202264617461736368656D61223A202275726E3A636F6E74726163743A4F72646572437265617465643A31222C202274726163656964223A202230302D34626639326633353737623334646136613363653932396430653065343733362D303066303637616130626139303262372D3031222C20227472616365706172656E74223A202230302D34626639326633353737623334646136613363653932396430653065343733362D303066303637616130626139303262372D3031222C2022636F7272656C6174696F6E6964223A202263663864343139382D356463392D343666632D626131622D306461313636383563353936222C2022636175736174696F6E6964223A202230302D34626639326633353737623334646136613363653932396430653065343733362D303066303637616130626139303262372D3031222C202261676772656761746576657273696F6E223A20312C202264617461223A207B226F726465724964223A202263663864343139382D356463392D343666632D626131622D306461313636383563353936222C2022637573746F6D65724E616D65223A20224A616E6520446F65222C2022637265617465644174223A2022323032362D30312D33315430383A31353A33302E3132335A227D2C20227369676E6174757265223A2022312E74657374732E32333961303134663861316235373162336331643734343061656364623261623239663465306532373837666436343265323635323164613166646539303563222C2022746F706963223A20224F7264657243726561746564222C20227075627375626E616D65223A2022707562737562227D','2026-11-29 07:54:53.534941','another-of-this-order',1,'OPEN',1,NULL,NULL,NULL,NULL,'29bc9dfd7519a846',NULL);
CREATE TABLE dead_letter_action (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	letter_id BIGINT NOT NULL, 
	run_id BIGINT, 
	at DATETIME NOT NULL, 
	"by" VARCHAR(255) NOT NULL, 
	act VARCHAR(20) NOT NULL, 
	because VARCHAR(1000), 
	outcome VARCHAR(1000), 
	"before" TEXT, 
	"after" TEXT
);
CREATE TABLE dead_letter_group (
	fingerprint VARCHAR(16) NOT NULL, 
	reaction VARCHAR(200) NOT NULL, 
	reason VARCHAR(200) NOT NULL, 
	authentic BOOLEAN NOT NULL, 
	open INTEGER NOT NULL, 
	replayed INTEGER DEFAULT '0' NOT NULL, 
	discarded INTEGER DEFAULT '0' NOT NULL, 
	first_at DATETIME NOT NULL, 
	last_at DATETIME NOT NULL, 
	PRIMARY KEY (fingerprint)
);
INSERT INTO "dead_letter_group" VALUES('29bc9dfd7519a846','notify_customer_on_order_created','IntegrityError: UNIQUE constraint failed: notification.order_id',1,1,0,0,'2026-11-29 07:54:53.534941','2026-11-29 07:54:53.534941');
CREATE TABLE dead_letter_run (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	fingerprint VARCHAR(16) NOT NULL, 
	act VARCHAR(20) NOT NULL, 
	"by" VARCHAR(255) NOT NULL, 
	because VARCHAR(1000) NOT NULL, 
	rate FLOAT NOT NULL, 
	tolerate INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	sample TEXT NOT NULL, 
	last BIGINT NOT NULL, 
	position BIGINT DEFAULT '0' NOT NULL, 
	step INTEGER DEFAULT '0' NOT NULL, 
	tried INTEGER DEFAULT '0' NOT NULL, 
	failed INTEGER DEFAULT '0' NOT NULL, 
	done INTEGER DEFAULT '0' NOT NULL, 
	failures INTEGER DEFAULT '0' NOT NULL, 
	started_at DATETIME NOT NULL, 
	due_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	ended_why VARCHAR(1000)
);
CREATE TABLE decision (
	id CHAR(32) NOT NULL, 
	act VARCHAR(20) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	"like" VARCHAR(500), 
	"by" VARCHAR(255) NOT NULL, 
	reason VARCHAR(500) NOT NULL, 
	made_at DATETIME NOT NULL, 
	until CHAR(32), 
	"after" CHAR(32), 
	done INTEGER NOT NULL, 
	ended_at DATETIME, 
	PRIMARY KEY (id)
);
CREATE TABLE feed (
	id CHAR(32) NOT NULL, 
	service VARCHAR(200) NOT NULL, 
	removed_transaction BIGINT DEFAULT '-1' NOT NULL, 
	removed_position BIGINT DEFAULT '-1' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "feed" VALUES('ef924cec27fe45dfbef9c7702af06ea4','notification',-1,-1);
CREATE TABLE feed_cursor (
	reaction VARCHAR(200) NOT NULL, 
	cursor VARCHAR(300) NOT NULL, 
	PRIMARY KEY (reaction)
);
INSERT INTO "feed_cursor" VALUES('erase_customer_on_order_erased','cd6776e4-afab-41cb-a54b-5d333ce96ec0.0.4.01a2264c-beeb-7020-9dc3-4e42c2502bbe');
INSERT INTO "feed_cursor" VALUES('notify_customer_on_order_created','cd6776e4-afab-41cb-a54b-5d333ce96ec0.0.3.01a2264c-aebd-783b-98a5-f5422b9a2563');
CREATE TABLE idempotency_key (
	scope VARCHAR(300) NOT NULL, 
	"key" VARCHAR(255) NOT NULL, 
	fingerprint BLOB NOT NULL, 
	status INTEGER NOT NULL, 
	headers TEXT NOT NULL, 
	body BLOB NOT NULL, 
	created_at DATETIME NOT NULL, 
	PRIMARY KEY (scope, "key")
);
CREATE TABLE inbox (
	reaction VARCHAR(200) NOT NULL, 
	event_id VARCHAR(200) NOT NULL, 
	handled_at DATETIME NOT NULL, 
	arrival VARCHAR(20) DEFAULT 'PUSHED' NOT NULL, 
	PRIMARY KEY (reaction, event_id)
);
INSERT INTO "inbox" VALUES('notify_customer_on_order_created','01a2264c-ae83-70ab-886a-35381f8c3f64','2026-11-29 07:54:52.418435','PULLED');
INSERT INTO "inbox" VALUES('notify_customer_on_order_created','01a2264c-aea7-7258-b5b0-fee62226fb7a','2026-11-29 07:54:53.441476','PULLED');
INSERT INTO "inbox" VALUES('notify_customer_on_order_created','01a2264c-aebd-783b-98a5-f5422b9a2563','2026-11-29 07:54:53.441476','PULLED');
INSERT INTO "inbox" VALUES('notify_customer_on_order_created','01a2264c-bed3-7ca9-b784-233bee66099e','2026-11-29 07:54:53.526606','PUSHED');
INSERT INTO "inbox" VALUES('notify_customer_on_order_created','another-of-this-order','2026-11-29 07:54:53.534606','PUSHED');
INSERT INTO "inbox" VALUES('erase_customer_on_order_erased','01a2264c-beeb-7020-9dc3-4e42c2502bbe','2026-11-29 07:54:54.503713','PULLED');
CREATE TABLE notification (
	id CHAR(32) NOT NULL, 
	order_id CHAR(32) NOT NULL, 
	customer_name VARCHAR(200) NOT NULL, 
	customer_email VARCHAR(254), 
	created_at DATETIME NOT NULL, 
	channel VARCHAR(20) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	due_at DATETIME, 
	attempt INTEGER NOT NULL, 
	owner VARCHAR(64), 
	sending_until DATETIME, 
	keyed BOOLEAN DEFAULT 0 NOT NULL, 
	sent_at DATETIME, 
	reason VARCHAR(500), 
	slot_at DATETIME, 
	slot_of VARCHAR(32), 
	refused_since DATETIME, 
	in_doubt_since DATETIME, 
	released_at DATETIME, 
	released_by VARCHAR(255), 
	release_reason VARCHAR(500), 
	discarded_at DATETIME, 
	discarded_by VARCHAR(255), 
	discard_reason VARCHAR(500), 
	reports VARCHAR(800) DEFAULT '' NOT NULL, 
	erased_at DATETIME, 
	version INTEGER DEFAULT '0' NOT NULL, 
	trace VARCHAR(200) DEFAULT '' NOT NULL, 
	caused_by VARCHAR(200) DEFAULT '' NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (order_id)
);
INSERT INTO "notification" VALUES('01a2264cba847b45a774bb858bd85699','01a2264cae8272f781028fa21335abd4','Jane Doe',NULL,'2026-11-29 07:54:49.346000','console','SENT',NULL,1,NULL,NULL,0,'2026-11-29 07:54:52.420585',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',NULL,1,'00-19ba6207a1c59608fa100bada7515945-ed9b8ce8f4b4c48e-00','01a2264c-ae83-70ab-886a-35381f8c3f64');
INSERT INTO "notification" VALUES('01a2264cbe8171d98fcd460ff62c0a5b','01a2264caea77676b3c58e7e04321b9e','Jörg Müller','joerg@example.org','2026-11-29 07:54:49.383000','email','SENT',NULL,1,'vm:3500','2026-11-29 07:55:53.449332',0,'2026-11-29 07:54:53.454331',NULL,'2026-11-29 07:54:53.447162','385de796b21dbaec6a50b9da148e2b93',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',NULL,1,'00-9e7905c0dfc851c49d63bd91780c46c8-7e0decc60a393feb-00','01a2264c-aea7-7258-b5b0-fee62226fb7a');
INSERT INTO "notification" VALUES('01a2264cbe817f4484637fef721674a5','01a2264caebd7a1abe1fbd1320775ecd','(erased)',NULL,'2026-11-29 07:54:49.405000','email','SENT',NULL,1,'vm:3500','2026-11-29 07:55:53.461200',0,'2026-11-29 07:54:53.463119',NULL,'2026-11-29 07:54:53.460363',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'','2026-11-29 07:54:54.510922',1,'00-ddd3a4840c7ae79fcc58995d7f62ec6d-01fdab7434ca8854-00','01a2264c-aebd-783b-98a5-f5422b9a2563');
INSERT INTO "notification" VALUES('01a2264cbed67651a9a7d81d9e7fa429','cf8d41985dc946fcba1b0da16685c596','Jane Doe',NULL,'2026-01-31 08:15:30.123000','console','SENT',NULL,1,NULL,NULL,0,'2026-11-29 07:54:53.526866',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',NULL,1,'00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01','01a2264c-bed3-7ca9-b784-233bee66099e');
CREATE TABLE outbox (
	position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	"transaction" BIGINT DEFAULT '0' NOT NULL, 
	event_id VARCHAR(200) NOT NULL, 
	topic VARCHAR(200) NOT NULL, 
	event TEXT NOT NULL, 
	size INTEGER NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	attempt INTEGER NOT NULL, 
	refusals INTEGER NOT NULL, 
	reason TEXT, 
	owner VARCHAR(64), 
	lease_until DATETIME, 
	due_at DATETIME, 
	published_at DATETIME, 
	created_at DATETIME NOT NULL, 
	UNIQUE (event_id)
);
INSERT INTO "outbox" VALUES(1,0,'01a2264c-ba84-7989-8194-a0b338cf3261','NotificationSent','{"specversion":"1.0","id":"01a2264c-ba84-7989-8194-a0b338cf3261","source":"/notification","type":"NotificationSent","subject":"01a2264c-ae82-72f7-8102-8fa21335abd4","time":"2026-11-29T07:54:52.420Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-19ba6207a1c59608fa100bada7515945-ed9b8ce8f4b4c48e-00","traceparent":"00-19ba6207a1c59608fa100bada7515945-ed9b8ce8f4b4c48e-00","correlationid":"01a2264c-ae82-72f7-8102-8fa21335abd4","causationid":"01a2264c-ae83-70ab-886a-35381f8c3f64","aggregateversion":1,"data":{"orderId":"01a2264c-ae82-72f7-8102-8fa21335abd4","channel":"console","sentAt":"2026-11-29T07:54:52.420Z"},"signature":"1.tests.2fb069cfc33505bb3dd3735eb7bdf2f57399316a6ad40e626f60bf098b58cc40"}',753,'PULL_ONLY',0,0,NULL,NULL,NULL,NULL,NULL,'2026-11-29 07:54:52.421262');
INSERT INTO "outbox" VALUES(2,0,'01a2264c-be91-7358-a0fc-754dd224337c','NotificationSent','{"specversion":"1.0","id":"01a2264c-be91-7358-a0fc-754dd224337c","source":"/notification","type":"NotificationSent","subject":"01a2264c-aea7-7676-b3c5-8e7e04321b9e","time":"2026-11-29T07:54:53.457Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-9e7905c0dfc851c49d63bd91780c46c8-7e0decc60a393feb-00","traceparent":"00-9e7905c0dfc851c49d63bd91780c46c8-7e0decc60a393feb-00","correlationid":"01a2264c-aea7-7676-b3c5-8e7e04321b9e","causationid":"01a2264c-aea7-7258-b5b0-fee62226fb7a","aggregateversion":1,"data":{"orderId":"01a2264c-aea7-7676-b3c5-8e7e04321b9e","channel":"email","sentAt":"2026-11-29T07:54:53.454Z"},"signature":"1.tests.5260f98005ac6f0efe66ee3fa840821a7455950b03c08970af0dd6df4ca5996b"}',751,'PULL_ONLY',0,0,NULL,NULL,NULL,NULL,NULL,'2026-11-29 07:54:53.458148');
INSERT INTO "outbox" VALUES(3,0,'01a2264c-be98-70be-a643-b560488c8356','NotificationSent','{"specversion":"1.0","id":"01a2264c-be98-70be-a643-b560488c8356","source":"/notification","type":"NotificationSent","subject":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","time":"2026-11-29T07:54:53.464Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-ddd3a4840c7ae79fcc58995d7f62ec6d-01fdab7434ca8854-00","traceparent":"00-ddd3a4840c7ae79fcc58995d7f62ec6d-01fdab7434ca8854-00","correlationid":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","causationid":"01a2264c-aebd-783b-98a5-f5422b9a2563","aggregateversion":1,"data":{"orderId":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","channel":"email","sentAt":"2026-11-29T07:54:53.463Z"},"signature":"1.tests.dac5cb8dde4af8515fdc2aed61e94009a6cf565eca2741945e31db775b0f9853"}',751,'PULL_ONLY',0,0,NULL,NULL,NULL,NULL,NULL,'2026-11-29 07:54:53.464437');
INSERT INTO "outbox" VALUES(4,0,'01a2264c-bed6-7aed-b2ca-a3ff52bd7cbd','NotificationSent','{"specversion":"1.0","id":"01a2264c-bed6-7aed-b2ca-a3ff52bd7cbd","source":"/notification","type":"NotificationSent","subject":"cf8d4198-5dc9-46fc-ba1b-0da16685c596","time":"2026-11-29T07:54:53.526Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","correlationid":"cf8d4198-5dc9-46fc-ba1b-0da16685c596","causationid":"01a2264c-bed3-7ca9-b784-233bee66099e","aggregateversion":1,"data":{"orderId":"cf8d4198-5dc9-46fc-ba1b-0da16685c596","channel":"console","sentAt":"2026-11-29T07:54:53.526Z"},"signature":"1.tests.3ab2e9618714ddf52c3c61eaf64f8a1fa86d1a96069c88c533717b769f44394d"}',753,'PULL_ONLY',0,0,NULL,NULL,NULL,NULL,NULL,'2026-11-29 07:54:53.527048');
CREATE TABLE page_session (
	id BLOB NOT NULL, 
	subject VARCHAR(255) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	scopes TEXT NOT NULL, 
	expires_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX notification_open ON notification (due_at, id) WHERE state IN ('READY', 'SENDING', 'UNKNOWN');
CREATE INDEX notification_in_trouble ON notification (state, id) WHERE state IN ('FAILED', 'UNKNOWN', 'HELD', 'DISCARDED');
CREATE INDEX notification_to ON notification (slot_of, slot_at) WHERE slot_at IS NOT NULL;
CREATE INDEX notification_left ON notification (slot_at) WHERE slot_at IS NOT NULL;
CREATE INDEX outbox_open ON outbox (position) WHERE state IN ('PENDING', 'LEASED');
CREATE INDEX outbox_feed ON outbox ("transaction", position);
CREATE INDEX outbox_parked ON outbox (position) WHERE state = 'PARKED';
CREATE INDEX outbox_created_at ON outbox (created_at);
CREATE INDEX inbox_repaired ON inbox (reaction, arrival) WHERE arrival IN ('PULLED', 'LATE');
CREATE INDEX inbox_handled_at ON inbox (handled_at);
CREATE INDEX dead_letter_by_fingerprint ON dead_letter (fingerprint, state, id);
CREATE INDEX dead_letter_settled ON dead_letter (received_at) WHERE state != 'OPEN';
CREATE INDEX dead_letter_by_state ON dead_letter (state, id);
CREATE INDEX dead_letter_by_reaction ON dead_letter (reaction, state, id);
CREATE INDEX dead_letter_holds ON dead_letter (event_id, reaction) WHERE event_id IS NOT NULL;
CREATE INDEX dead_letter_group_last_at ON dead_letter_group (last_at, fingerprint);
CREATE INDEX dead_letter_action_run ON dead_letter_action (run_id, id);
CREATE INDEX dead_letter_action_letter ON dead_letter_action (letter_id, id);
CREATE UNIQUE INDEX dead_letter_run_alone ON dead_letter_run (fingerprint) WHERE state = 'RUNNING';
CREATE INDEX dead_letter_run_of_group ON dead_letter_run (fingerprint, id);
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
CREATE INDEX page_session_expires_at ON page_session (expires_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',4);
INSERT INTO "sqlite_sequence" VALUES('dead_letter',1);
COMMIT;
