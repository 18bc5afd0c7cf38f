BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001.2_order');
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
INSERT INTO "consumer" VALUES('notification/notify_customer_on_order_created','OrderCreated',0,3,'2026-11-29 07:54:54.450940');
INSERT INTO "consumer" VALUES('notification/erase_customer_on_order_erased','OrderErased',0,3,'2026-11-29 07:54:51.467945');
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
INSERT INTO "dead_letter" VALUES(1,'show_notification_on_notification_sent','There is no order cf8d4198-5dc9-46fc-ba1b-0da16685c596 to show a notification of.',X'7B227370656376657273696F6E223A22312E30222C226964223A2230316132323634632D626564362D376165642D623263612D613366663532626437636264222C22736F75726365223A222F6E6F74696669636174696F6E222C2274797065223A224E6F74696669636174696F6E53656E74222C227375626A656374223A2263663864343139382D356463392D343666632D626131622D306461313636383563353936222C2274696D65223A22323032362D31312D32395430373A35343A35332E3532365A222C2264617461636F6E74656E7474797065223A226170706C69636174696F6E2F6A736F6E222C2264617461736368656D61223A2275726E3A636F6E74726163743A4E6F74696669636174696F6E53656E743A31222C2274726163656964223A2230302D34626639326633353737623334646136613363653932396430653065343733362D303066303637616130626139303262372D3031222C227472616365706172656E74223A2230302D34626639326633353737623334646136613363653932396430653065343733362D303066303637616130626139303262372D3031222C22636F7272656C6174696F6E6964223A2263663864343139382D356463392D343666632D626131622D306461313636383563353936222C22636175736174696F6E6964223A2230316132323634632D626564332D376361392D623738342D323333626565363630393965222C2261676772656761746576657273696F6E223A312C2264617461223A7B226F726465724964223A2263663864343139382D356463392D343666632D626131622D306461313636383563353936222C226368616E6E656C223A22636F6E736F6C65222C2273656E744174223A22323032362D31312D32395430373A35343A35332E3532365A227D2C227369676E6174757265223A22312E74657374732E33616232653936313837313464646635326333633631656166363466386131666138366431613936303639633838633533333731376237363966343433393464227D','2026-11-29 07:54:54.544259','01a2264c-bed6-7aed-b2ca-a3ff52bd7cbd',1,'OPEN',1,NULL,NULL,NULL,NULL,'46aea77f54c75de9',NULL);
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
INSERT INTO "dead_letter_group" VALUES('46aea77f54c75de9','show_notification_on_notification_sent','There is no order … to show a notification of.',1,1,0,0,'2026-11-29 07:54:54.544259','2026-11-29 07:54:54.544259');
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
CREATE TABLE erasure (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	"by" VARCHAR(255) NOT NULL, 
	reason VARCHAR(1000) NOT NULL, 
	orders INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "erasure" VALUES(1,'2026-11-29 07:54:53.544000','Ada','4711',1);
CREATE TABLE feed (
	id CHAR(32) NOT NULL, 
	service VARCHAR(200) NOT NULL, 
	removed_transaction BIGINT DEFAULT '-1' NOT NULL, 
	removed_position BIGINT DEFAULT '-1' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "feed" VALUES('cd6776e4afab41cba54b5d333ce96ec0','order',-1,-1);
CREATE TABLE feed_cursor (
	reaction VARCHAR(200) NOT NULL, 
	cursor VARCHAR(300) NOT NULL, 
	PRIMARY KEY (reaction)
);
INSERT INTO "feed_cursor" VALUES('show_notification_on_notification_released','ef924cec-27fe-45df-bef9-c7702af06ea4.0.4.01a2264c-bed6-7aed-b2ca-a3ff52bd7cbd');
INSERT INTO "feed_cursor" VALUES('show_notification_on_notification_sent','ef924cec-27fe-45df-bef9-c7702af06ea4.0.4.01a2264c-bed6-7aed-b2ca-a3ff52bd7cbd');
INSERT INTO "feed_cursor" VALUES('show_notification_on_notification_failed','ef924cec-27fe-45df-bef9-c7702af06ea4.0.3.01a2264c-be98-70be-a643-b560488c8356');
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
INSERT INTO "idempotency_key" VALUES('POST /api/order','0b8f6f4e-5d0a-4b5e-9f43-6a1f6f8f0c11',X'58D5C1B2EB412D63DD750181D58921AB1BA2280209C1071B7159FC4917934544',201,'{"location": "order/01a2264c-ae82-72f7-8102-8fa21335abd4", "content-length": "50", "content-type": "application/json"}',X'7B226F726465724964223A2230316132323634632D616538322D373266372D383130322D386661323133333561626434227D','2026-11-29 07:54:49.347740');
CREATE TABLE inbox (
	reaction VARCHAR(200) NOT NULL, 
	event_id VARCHAR(200) NOT NULL, 
	handled_at DATETIME NOT NULL, 
	arrival VARCHAR(20) DEFAULT 'PUSHED' NOT NULL, 
	PRIMARY KEY (reaction, event_id)
);
INSERT INTO "inbox" VALUES('show_notification_on_notification_sent','01a2264c-ba84-7989-8194-a0b338cf3261','2026-11-29 07:54:52.473475','PULLED');
INSERT INTO "inbox" VALUES('show_notification_on_notification_sent','01a2264c-be91-7358-a0fc-754dd224337c','2026-11-29 07:54:53.491128','PULLED');
INSERT INTO "inbox" VALUES('show_notification_on_notification_sent','01a2264c-be98-70be-a643-b560488c8356','2026-11-29 07:54:53.491128','PULLED');
INSERT INTO "inbox" VALUES('show_notification_on_notification_sent','01a2264c-bed6-7aed-b2ca-a3ff52bd7cbd','2026-11-29 07:54:54.542115','PULLED');
CREATE TABLE orders (
	id CHAR(32) NOT NULL, 
	customer_name VARCHAR(200) NOT NULL, 
	name_key VARCHAR(100) NOT NULL, 
	created_at DATETIME NOT NULL, 
	owner VARCHAR(255), 
	customer_email VARCHAR(254), 
	email_key VARCHAR(254), 
	created_event VARCHAR(36) NOT NULL, 
	erased_at DATETIME, 
	notification_state VARCHAR(20) DEFAULT 'WAITING' NOT NULL, 
	notification_channel VARCHAR(20), 
	notification_at DATETIME, 
	notification_reason VARCHAR(500), 
	notification_version INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "orders" VALUES('01a2264cae8272f781028fa21335abd4','Jane Doe','jane doe','2026-11-29 07:54:49.346000',NULL,NULL,NULL,'01a2264c-ae83-70ab-886a-35381f8c3f64',NULL,'SENT','console','2026-11-29 07:54:52.420000',NULL,1);
INSERT INTO "orders" VALUES('01a2264caea77676b3c58e7e04321b9e','Jörg Müller','jörg müller','2026-11-29 07:54:49.383000',NULL,'joerg@example.org','joerg@example.org','01a2264c-aea7-7258-b5b0-fee62226fb7a',NULL,'SENT','email','2026-11-29 07:54:53.454000',NULL,1);
INSERT INTO "orders" VALUES('01a2264caebd7a1abe1fbd1320775ecd','(erased)','(erased)','2026-11-29 07:54:49.405000',NULL,NULL,NULL,'01a2264c-aebd-783b-98a5-f5422b9a2563','2026-11-29 07:54:53.544000','SENT','email','2026-11-29 07:54:53.463000',NULL,1);
INSERT INTO "orders" VALUES('01a2264cc2d77775b9c1e2df049fe522','Lena Late','lena late','2026-11-29 07:54:54.551000',NULL,'lena@example.org','lena@example.org','01a2264c-c2d7-7557-8eea-ef9572c8c85a',NULL,'WAITING',NULL,NULL,NULL,0);
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
INSERT INTO "outbox" VALUES(1,0,'01a2264c-ae83-70ab-886a-35381f8c3f64','OrderCreated','{"specversion":"1.0","id":"01a2264c-ae83-70ab-886a-35381f8c3f64","source":"/order","type":"OrderCreated","subject":"01a2264c-ae82-72f7-8102-8fa21335abd4","time":"2026-11-29T07:54:49.347Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-19ba6207a1c59608fa100bada7515945-ed9b8ce8f4b4c48e-00","traceparent":"00-19ba6207a1c59608fa100bada7515945-ed9b8ce8f4b4c48e-00","correlationid":"01a2264c-ae82-72f7-8102-8fa21335abd4","causationid":"00-19ba6207a1c59608fa100bada7515945-ed9b8ce8f4b4c48e-00","aggregateversion":1,"data":{"orderId":"01a2264c-ae82-72f7-8102-8fa21335abd4","customerName":"Jane Doe","createdAt":"2026-11-29T07:54:49.346Z"},"signature":"1.tests.057437f8b68f65e2102b24851999109305064a15bb2f52d8839b4586958a671b"}',766,'PUBLISHED',1,0,NULL,NULL,NULL,NULL,'2026-11-29 07:54:49.403379','2026-11-29 07:54:49.348092');
INSERT INTO "outbox" VALUES(2,0,'01a2264c-aea7-7258-b5b0-fee62226fb7a','OrderCreated','{"specversion":"1.0","id":"01a2264c-aea7-7258-b5b0-fee62226fb7a","source":"/order","type":"OrderCreated","subject":"01a2264c-aea7-7676-b3c5-8e7e04321b9e","time":"2026-11-29T07:54:49.383Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-9e7905c0dfc851c49d63bd91780c46c8-7e0decc60a393feb-00","traceparent":"00-9e7905c0dfc851c49d63bd91780c46c8-7e0decc60a393feb-00","correlationid":"01a2264c-aea7-7676-b3c5-8e7e04321b9e","causationid":"00-9e7905c0dfc851c49d63bd91780c46c8-7e0decc60a393feb-00","aggregateversion":1,"data":{"orderId":"01a2264c-aea7-7676-b3c5-8e7e04321b9e","customerName":"Jörg Müller","customerEmail":"joerg@example.org","createdAt":"2026-11-29T07:54:49.383Z"},"signature":"1.tests.7cd3cbb98ce6c11dbf63015aa5c4ef6f0ddab7325d1f941d4be846089c292420"}',807,'PUBLISHED',1,0,NULL,NULL,NULL,NULL,'2026-11-29 07:54:49.422191','2026-11-29 07:54:49.384076');
INSERT INTO "outbox" VALUES(3,0,'01a2264c-aebd-783b-98a5-f5422b9a2563','OrderCreated','{"specversion":"1.0","id":"01a2264c-aebd-783b-98a5-f5422b9a2563","source":"/order","type":"OrderCreated","subject":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","time":"2026-11-29T07:54:49.405Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-ddd3a4840c7ae79fcc58995d7f62ec6d-01fdab7434ca8854-00","traceparent":"00-ddd3a4840c7ae79fcc58995d7f62ec6d-01fdab7434ca8854-00","correlationid":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","causationid":"00-ddd3a4840c7ae79fcc58995d7f62ec6d-01fdab7434ca8854-00","aggregateversion":1,"data":{"orderId":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","customerName":"(erased)","createdAt":"2026-11-29T07:54:49.405Z","erasedAt":"2026-11-29T07:54:53.544Z"},"signature":"1.tests.a8c9904cea5dc96d79b74a867808690461d5f84d7ceb1d2f071fbae9b5ff1277"}',804,'PUBLISHED',1,0,NULL,NULL,NULL,NULL,'2026-11-29 07:54:49.445390','2026-11-29 07:54:49.405720');
INSERT INTO "outbox" VALUES(4,0,'01a2264c-beeb-7020-9dc3-4e42c2502bbe','OrderErased','{"specversion":"1.0","id":"01a2264c-beeb-7020-9dc3-4e42c2502bbe","source":"/order","type":"OrderErased","subject":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","time":"2026-11-29T07:54:53.547Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderErased:1","traceid":"00-411978c7933a8337b8a2499270dcff75-3a081e368772d74f-00","traceparent":"00-411978c7933a8337b8a2499270dcff75-3a081e368772d74f-00","correlationid":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","causationid":"00-411978c7933a8337b8a2499270dcff75-3a081e368772d74f-00","aggregateversion":2,"data":{"orderId":"01a2264c-aebd-7a1a-be1f-bd1320775ecd","createdAt":"2026-11-29T07:54:49.405Z","createdEvent":"01a2264c-aebd-783b-98a5-f5422b9a2563","erasedAt":"2026-11-29T07:54:53.544Z"},"signature":"1.tests.4a7f9610a4b511e52329b097f3743d7a7a99bd2b289e327c84f63cace9e5b6ec"}',830,'PULL_ONLY',0,0,NULL,NULL,NULL,NULL,NULL,'2026-11-29 07:54:53.550770');
INSERT INTO "outbox" VALUES(5,0,'01a2264c-c2d7-7557-8eea-ef9572c8c85a','OrderCreated','{"specversion":"1.0","id":"01a2264c-c2d7-7557-8eea-ef9572c8c85a","source":"/order","type":"OrderCreated","subject":"01a2264c-c2d7-7775-b9c1-e2df049fe522","time":"2026-11-29T07:54:54.551Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-668cbc1b577b70634c8932c9ef581fc8-ef37a5da82976b5b-00","traceparent":"00-668cbc1b577b70634c8932c9ef581fc8-ef37a5da82976b5b-00","correlationid":"01a2264c-c2d7-7775-b9c1-e2df049fe522","causationid":"00-668cbc1b577b70634c8932c9ef581fc8-ef37a5da82976b5b-00","aggregateversion":1,"data":{"orderId":"01a2264c-c2d7-7775-b9c1-e2df049fe522","customerName":"Lena Late","customerEmail":"lena@example.org","createdAt":"2026-11-29T07:54:54.551Z"},"signature":"1.tests.468d37678ff790ccc2d25e644e309cd3fd8ba12478bc9cbdb40fe2721e0186fe"}',802,'PENDING',1,0,NULL,NULL,NULL,NULL,NULL,'2026-11-29 07:54:54.552030');
CREATE TABLE page_session (
	id BLOB NOT NULL, 
	subject VARCHAR(255) NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	scopes TEXT NOT NULL, 
	expires_at DATETIME NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX orders_unsent ON orders (notification_state, id) WHERE notification_state != 'SENT';
CREATE INDEX orders_name ON orders (name_key);
CREATE INDEX orders_owner ON orders (owner, id) WHERE owner IS NOT NULL;
CREATE INDEX orders_email ON orders (email_key, id) WHERE email_key IS NOT NULL;
CREATE INDEX outbox_parked ON outbox (position) WHERE state = 'PARKED';
CREATE INDEX outbox_created_at ON outbox (created_at);
CREATE INDEX outbox_open ON outbox (position) WHERE state IN ('PENDING', 'LEASED');
CREATE INDEX outbox_feed ON outbox ("transaction", position);
CREATE INDEX inbox_handled_at ON inbox (handled_at);
CREATE INDEX inbox_repaired ON inbox (reaction, arrival) WHERE arrival IN ('PULLED', 'LATE');
CREATE INDEX dead_letter_by_fingerprint ON dead_letter (fingerprint, state, id);
CREATE INDEX dead_letter_holds ON dead_letter (event_id, reaction) WHERE event_id IS NOT NULL;
CREATE INDEX dead_letter_settled ON dead_letter (received_at) WHERE state != 'OPEN';
CREATE INDEX dead_letter_by_state ON dead_letter (state, id);
CREATE INDEX dead_letter_by_reaction ON dead_letter (reaction, state, id);
CREATE INDEX dead_letter_group_last_at ON dead_letter_group (last_at, fingerprint);
CREATE INDEX dead_letter_action_letter ON dead_letter_action (letter_id, id);
CREATE INDEX dead_letter_action_run ON dead_letter_action (run_id, id);
CREATE INDEX dead_letter_run_of_group ON dead_letter_run (fingerprint, id);
CREATE UNIQUE INDEX dead_letter_run_alone ON dead_letter_run (fingerprint) WHERE state = 'RUNNING';
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
CREATE INDEX page_session_expires_at ON page_session (expires_at);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',5);
INSERT INTO "sqlite_sequence" VALUES('dead_letter',1);
COMMIT;
