SELECT pg_catalog.set_config('search_path', '', false);
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.attempt (
    reaction character varying(200) NOT NULL,
    event_id character varying(200) NOT NULL,
    attempts integer NOT NULL,
    attempted_at timestamp with time zone NOT NULL
);
CREATE TABLE public.consumer (
    consumer character varying(200) NOT NULL,
    topic character varying(200) NOT NULL,
    transaction bigint NOT NULL,
    "position" bigint NOT NULL,
    acknowledged_at timestamp with time zone NOT NULL
);
CREATE TABLE public.dead_letter (
    id bigint NOT NULL,
    reaction character varying(200) NOT NULL,
    reason text NOT NULL,
    body bytea NOT NULL,
    received_at timestamp with time zone NOT NULL,
    event_id character varying(200),
    authentic boolean DEFAULT true NOT NULL,
    state character varying(20) DEFAULT 'OPEN'::character varying NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    replayed_at timestamp with time zone,
    discarded_at timestamp with time zone,
    discarded_by character varying(255),
    discarded_because character varying(1000),
    fingerprint character varying(16) NOT NULL,
    edited text
);
CREATE TABLE public.dead_letter_action (
    id bigint NOT NULL,
    letter_id bigint NOT NULL,
    run_id bigint,
    at timestamp with time zone NOT NULL,
    by character varying(255) NOT NULL,
    act character varying(20) NOT NULL,
    because character varying(1000),
    outcome character varying(1000),
    before text,
    after text
);
CREATE SEQUENCE public.dead_letter_action_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dead_letter_action_id_seq OWNED BY public.dead_letter_action.id;
CREATE TABLE public.dead_letter_group (
    fingerprint character varying(16) NOT NULL,
    reaction character varying(200) NOT NULL,
    reason character varying(200) NOT NULL,
    authentic boolean NOT NULL,
    open integer NOT NULL,
    replayed integer DEFAULT 0 NOT NULL,
    discarded integer DEFAULT 0 NOT NULL,
    first_at timestamp with time zone NOT NULL,
    last_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.dead_letter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dead_letter_id_seq OWNED BY public.dead_letter.id;
CREATE TABLE public.dead_letter_run (
    id bigint NOT NULL,
    fingerprint character varying(16) NOT NULL,
    act character varying(20) NOT NULL,
    by character varying(255) NOT NULL,
    because character varying(1000) NOT NULL,
    rate double precision NOT NULL,
    tolerate integer NOT NULL,
    state character varying(20) NOT NULL,
    sample text NOT NULL,
    last bigint NOT NULL,
    "position" bigint DEFAULT '0'::bigint NOT NULL,
    step integer DEFAULT 0 NOT NULL,
    tried integer DEFAULT 0 NOT NULL,
    failed integer DEFAULT 0 NOT NULL,
    done integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    ended_why character varying(1000)
);
CREATE SEQUENCE public.dead_letter_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.dead_letter_run_id_seq OWNED BY public.dead_letter_run.id;
CREATE TABLE public.decision (
    id uuid NOT NULL,
    act character varying(20) NOT NULL,
    state character varying(20) NOT NULL,
    "like" character varying(500),
    by character varying(255) NOT NULL,
    reason character varying(500) NOT NULL,
    made_at timestamp with time zone NOT NULL,
    until uuid,
    after uuid,
    done integer NOT NULL,
    ended_at timestamp with time zone
);
CREATE TABLE public.feed (
    id uuid NOT NULL,
    service character varying(200) NOT NULL,
    removed_transaction bigint DEFAULT '-1'::bigint NOT NULL,
    removed_position bigint DEFAULT '-1'::bigint NOT NULL
);
CREATE TABLE public.feed_cursor (
    reaction character varying(200) NOT NULL,
    cursor character varying(300) NOT NULL
);
CREATE TABLE public.idempotency_key (
    scope character varying(300) NOT NULL,
    key character varying(255) NOT NULL,
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    headers text NOT NULL,
    body bytea NOT NULL,
    created_at timestamp with time zone NOT NULL
);
CREATE TABLE public.inbox (
    reaction character varying(200) NOT NULL,
    event_id character varying(200) NOT NULL,
    handled_at timestamp with time zone NOT NULL,
    arrival character varying(20) DEFAULT 'PUSHED'::character varying NOT NULL
);
CREATE TABLE public.notification (
    id uuid NOT NULL,
    order_id uuid NOT NULL,
    customer_name character varying(200) NOT NULL,
    customer_email character varying(254),
    created_at timestamp with time zone NOT NULL,
    channel character varying(20) NOT NULL,
    state character varying(20) NOT NULL,
    due_at timestamp with time zone,
    attempt integer NOT NULL,
    owner character varying(64),
    sending_until timestamp with time zone,
    keyed boolean DEFAULT false NOT NULL,
    sent_at timestamp with time zone,
    reason character varying(500),
    slot_at timestamp with time zone,
    slot_of character varying(32),
    refused_since timestamp with time zone,
    in_doubt_since timestamp with time zone,
    released_at timestamp with time zone,
    released_by character varying(255),
    release_reason character varying(500),
    discarded_at timestamp with time zone,
    discarded_by character varying(255),
    discard_reason character varying(500),
    reports character varying(800) DEFAULT ''::character varying NOT NULL,
    erased_at timestamp with time zone,
    version integer DEFAULT 0 NOT NULL,
    trace character varying(200) DEFAULT ''::character varying NOT NULL,
    caused_by character varying(200) DEFAULT ''::character varying NOT NULL
);
CREATE TABLE public.outbox (
    "position" bigint NOT NULL,
    transaction bigint DEFAULT '0'::bigint NOT NULL,
    event_id character varying(200) NOT NULL,
    topic character varying(200) NOT NULL,
    event text NOT NULL,
    size integer NOT NULL,
    state character varying(20) NOT NULL,
    attempt integer NOT NULL,
    refusals integer NOT NULL,
    reason text,
    owner character varying(64),
    lease_until timestamp with time zone,
    due_at timestamp with time zone,
    published_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL
);
CREATE SEQUENCE public.outbox_position_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.outbox_position_seq OWNED BY public.outbox."position";
CREATE TABLE public.page_session (
    id bytea NOT NULL,
    subject character varying(255) NOT NULL,
    name character varying(100) NOT NULL,
    scopes text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);
ALTER TABLE ONLY public.dead_letter ALTER COLUMN id SET DEFAULT nextval('public.dead_letter_id_seq'::regclass);
ALTER TABLE ONLY public.dead_letter_action ALTER COLUMN id SET DEFAULT nextval('public.dead_letter_action_id_seq'::regclass);
ALTER TABLE ONLY public.dead_letter_run ALTER COLUMN id SET DEFAULT nextval('public.dead_letter_run_id_seq'::regclass);
ALTER TABLE ONLY public.outbox ALTER COLUMN "position" SET DEFAULT nextval('public.outbox_position_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001.2_notification');
INSERT INTO public.alembic_version VALUES ('0001.2_chassis');
INSERT INTO public.consumer VALUES ('order/show_notification_on_notification_sent', 'NotificationSent', 750, 3, '2026-11-29 07:55:02.326609+00');
INSERT INTO public.consumer VALUES ('order/show_notification_on_notification_released', 'NotificationReleased', 750, 3, '2026-11-29 07:55:02.339812+00');
INSERT INTO public.consumer VALUES ('order/show_notification_on_notification_failed', 'NotificationFailed', 750, 3, '2026-11-29 07:55:02.388658+00');
INSERT INTO public.dead_letter VALUES (1, 'notify_customer_on_order_created', 'IntegrityError: duplicate key value violates unique constraint "notification_order_id_key"', '\x7b227370656376657273696f6e223a2022312e30222c20226964223a2022616e6f746865722d6f662d746869732d6f72646572222c2022736f75726365223a20222f6f72646572222c202274797065223a20224f7264657243726561746564222c20227375626a656374223a202263393031356338302d373538372d343663612d396535342d613666326135363663376262222c202274696d65223a2022323032362d31312d32395430373a35353a30312e3332305a222c202264617461636f6e74656e7474797065223a20226170706c69636174696f6e2f6a736f6e222c202264617461736368656d61223a202275726e3a636f6e74726163743a4f72646572437265617465643a31222c202274726163656964223a202230302d34626639326633353737623334646136613363653932396430653065343733362d303066303637616130626139303262372d3031222c20227472616365706172656e74223a202230302d34626639326633353737623334646136613363653932396430653065343733362d303066303637616130626139303262372d3031222c2022636f7272656c6174696f6e6964223a202263393031356338302d373538372d343663612d396535342d613666326135363663376262222c2022636175736174696f6e6964223a202230302d34626639326633353737623334646136613363653932396430653065343733362d303066303637616130626139303262372d3031222c202261676772656761746576657273696f6e223a20312c202264617461223a207b226f726465724964223a202263393031356338302d373538372d343663612d396535342d613666326135363663376262222c2022637573746f6d65724e616d65223a20224a616e6520446f65222c2022637265617465644174223a2022323032362d30312d33315430383a31353a33302e3132335a227d2c20227369676e6174757265223a2022312e74657374732e37353963393264343437363535313534363131363430313364323435386166663664373066663334316430393563353735373865386331373563346631666333222c2022746f706963223a20224f7264657243726561746564222c20227075627375626e616d65223a2022707562737562227d', '2026-11-29 07:55:01.5032+00', 'another-of-this-order', true, 'OPEN', 1, NULL, NULL, NULL, NULL, '591b3af9db3261ef', NULL);
INSERT INTO public.dead_letter_group VALUES ('591b3af9db3261ef', 'notify_customer_on_order_created', 'IntegrityError: duplicate key value violates unique constraint "notification_order_id_key"', true, 1, 0, 0, '2026-11-29 07:55:01.5032+00', '2026-11-29 07:55:01.5032+00');
INSERT INTO public.feed VALUES ('1e080e22-1cef-4075-81d6-506c3f3200ab', 'notification', -1, -1);
INSERT INTO public.feed_cursor VALUES ('notify_customer_on_order_created', '7670fcba-ce41-4349-8792-77a97d2a63e9.738.3.01a2264c-c8be-7588-b1de-2df2a8901b84');
INSERT INTO public.feed_cursor VALUES ('erase_customer_on_order_erased', '7670fcba-ce41-4349-8792-77a97d2a63e9.758.4.01a2264c-df10-7f0c-b086-6068faa09b75');
INSERT INTO public.inbox VALUES ('notify_customer_on_order_created', '01a2264c-c861-7357-b3be-13539c65d6ee', '2026-11-29 07:55:00.294963+00', 'PULLED');
INSERT INTO public.inbox VALUES ('notify_customer_on_order_created', '01a2264c-c89d-77dc-8d61-f456af850939', '2026-11-29 07:55:00.294963+00', 'PULLED');
INSERT INTO public.inbox VALUES ('notify_customer_on_order_created', '01a2264c-c8be-7588-b1de-2df2a8901b84', '2026-11-29 07:55:00.294963+00', 'PULLED');
INSERT INTO public.inbox VALUES ('notify_customer_on_order_created', '01a2264c-dd48-7ee6-b418-305249afede1', '2026-11-29 07:55:01.322196+00', 'PUSHED');
INSERT INTO public.inbox VALUES ('notify_customer_on_order_created', 'another-of-this-order', '2026-11-29 07:55:01.50214+00', 'PUSHED');
INSERT INTO public.inbox VALUES ('erase_customer_on_order_erased', '01a2264c-df10-7f0c-b086-6068faa09b75', '2026-11-29 07:55:02.333836+00', 'PULLED');
INSERT INTO public.notification VALUES ('01a2264c-d954-7355-85b9-014968fb0c3c', '01a2264c-c861-7f82-b5b7-c835f1285c9f', 'Jane Doe', NULL, '2026-11-29 07:54:55.969+00', 'console', 'SENT', NULL, 1, NULL, NULL, false, '2026-11-29 07:55:00.308053+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, 1, '00-748e4831a68d0ae8c44aa0ea20b2abfe-4d4a0b49a57ab714-00', '01a2264c-c861-7357-b3be-13539c65d6ee');
INSERT INTO public.notification VALUES ('01a2264c-d954-7e17-be32-bf26cebefc58', '01a2264c-c89d-7045-90ca-9ce77a6da23f', 'Jörg Müller', 'joerg@example.org', '2026-11-29 07:54:56.029+00', 'email', 'SENT', NULL, 1, 'vm:3500', '2026-11-29 07:56:00.340293+00', false, '2026-11-29 07:55:00.401399+00', NULL, '2026-11-29 07:55:00.334816+00', '385de796b21dbaec6a50b9da148e2b93', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, 1, '00-77d9fe3e80c012218961977e7647e958-d7543e3aec926817-00', '01a2264c-c89d-77dc-8d61-f456af850939');
INSERT INTO public.notification VALUES ('01a2264c-dd63-7a3f-b7ad-c3d4e245c479', 'c9015c80-7587-46ca-9e54-a6f2a566c7bb', 'Jane Doe', NULL, '2026-01-31 08:15:30.123+00', 'console', 'SENT', NULL, 1, NULL, NULL, false, '2026-11-29 07:55:01.347341+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', NULL, 1, '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', '01a2264c-dd48-7ee6-b418-305249afede1');
INSERT INTO public.notification VALUES ('01a2264c-d954-7a5b-a2dd-aaabbfaed9cb', '01a2264c-c8be-71d0-9429-f964f6910415', '(erased)', NULL, '2026-11-29 07:54:56.062+00', 'email', 'SENT', NULL, 1, 'vm:3500', '2026-11-29 07:56:00.422854+00', false, '2026-11-29 07:55:00.438172+00', NULL, '2026-11-29 07:55:00.413096+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '', '2026-11-29 07:55:02.376449+00', 1, '00-2d4415898b4b43dd308fc81079ddc5de-5c575aeb78207625-00', '01a2264c-c8be-7588-b1de-2df2a8901b84');
INSERT INTO public.outbox VALUES (1, 746, '01a2264c-d954-7ee2-8071-5e9e9f019d5a', 'NotificationSent', '{"specversion":"1.0","id":"01a2264c-d954-7ee2-8071-5e9e9f019d5a","source":"/notification","type":"NotificationSent","subject":"01a2264c-c861-7f82-b5b7-c835f1285c9f","time":"2026-11-29T07:55:00.308Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-748e4831a68d0ae8c44aa0ea20b2abfe-4d4a0b49a57ab714-00","traceparent":"00-748e4831a68d0ae8c44aa0ea20b2abfe-4d4a0b49a57ab714-00","correlationid":"01a2264c-c861-7f82-b5b7-c835f1285c9f","causationid":"01a2264c-c861-7357-b3be-13539c65d6ee","aggregateversion":1,"data":{"orderId":"01a2264c-c861-7f82-b5b7-c835f1285c9f","channel":"console","sentAt":"2026-11-29T07:55:00.308Z"},"signature":"1.tests.365cd97414595e90b31b7c5034aefcb13b32875fdd612bc2883fdbaf860d5490"}', 753, 'PULL_ONLY', 0, 0, NULL, NULL, NULL, NULL, NULL, '2026-11-29 07:55:00.309028+00');
INSERT INTO public.outbox VALUES (2, 748, '01a2264c-d9b4-7de8-9040-290f9ff437a4', 'NotificationSent', '{"specversion":"1.0","id":"01a2264c-d9b4-7de8-9040-290f9ff437a4","source":"/notification","type":"NotificationSent","subject":"01a2264c-c89d-7045-90ca-9ce77a6da23f","time":"2026-11-29T07:55:00.404Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-77d9fe3e80c012218961977e7647e958-d7543e3aec926817-00","traceparent":"00-77d9fe3e80c012218961977e7647e958-d7543e3aec926817-00","correlationid":"01a2264c-c89d-7045-90ca-9ce77a6da23f","causationid":"01a2264c-c89d-77dc-8d61-f456af850939","aggregateversion":1,"data":{"orderId":"01a2264c-c89d-7045-90ca-9ce77a6da23f","channel":"email","sentAt":"2026-11-29T07:55:00.401Z"},"signature":"1.tests.56ef8258b1daac1088e55a2617c6aaad7ef95f21d88916f38fd99536cb3f1b64"}', 751, 'PULL_ONLY', 0, 0, NULL, NULL, NULL, NULL, NULL, '2026-11-29 07:55:00.405156+00');
INSERT INTO public.outbox VALUES (3, 750, '01a2264c-d9e1-7f64-abc2-414dc65cc186', 'NotificationSent', '{"specversion":"1.0","id":"01a2264c-d9e1-7f64-abc2-414dc65cc186","source":"/notification","type":"NotificationSent","subject":"01a2264c-c8be-71d0-9429-f964f6910415","time":"2026-11-29T07:55:00.449Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-2d4415898b4b43dd308fc81079ddc5de-5c575aeb78207625-00","traceparent":"00-2d4415898b4b43dd308fc81079ddc5de-5c575aeb78207625-00","correlationid":"01a2264c-c8be-71d0-9429-f964f6910415","causationid":"01a2264c-c8be-7588-b1de-2df2a8901b84","aggregateversion":1,"data":{"orderId":"01a2264c-c8be-71d0-9429-f964f6910415","channel":"email","sentAt":"2026-11-29T07:55:00.438Z"},"signature":"1.tests.b810519de060843dd1fc490951e864a60845c604100021960d4d98f942b94e7a"}', 751, 'PULL_ONLY', 0, 0, NULL, NULL, NULL, NULL, NULL, '2026-11-29 07:55:00.449705+00');
INSERT INTO public.outbox VALUES (4, 754, '01a2264c-dd63-76e9-b1dc-7ef1f18883f2', 'NotificationSent', '{"specversion":"1.0","id":"01a2264c-dd63-76e9-b1dc-7ef1f18883f2","source":"/notification","type":"NotificationSent","subject":"c9015c80-7587-46ca-9e54-a6f2a566c7bb","time":"2026-11-29T07:55:01.347Z","datacontenttype":"application/json","dataschema":"urn:contract:NotificationSent:1","traceid":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","correlationid":"c9015c80-7587-46ca-9e54-a6f2a566c7bb","causationid":"01a2264c-dd48-7ee6-b418-305249afede1","aggregateversion":1,"data":{"orderId":"c9015c80-7587-46ca-9e54-a6f2a566c7bb","channel":"console","sentAt":"2026-11-29T07:55:01.347Z"},"signature":"1.tests.772dc03cd93831c5830960bf7da51b08a0035a5c82d156b8e5c0ea313453d205"}', 753, 'PULL_ONLY', 0, 0, NULL, NULL, NULL, NULL, NULL, '2026-11-29 07:55:01.34771+00');
SELECT pg_catalog.setval('public.dead_letter_action_id_seq', 1, false);
SELECT pg_catalog.setval('public.dead_letter_id_seq', 1, true);
SELECT pg_catalog.setval('public.dead_letter_run_id_seq', 1, false);
SELECT pg_catalog.setval('public.outbox_position_seq', 5, true);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (reaction, event_id);
ALTER TABLE ONLY public.consumer
    ADD CONSTRAINT consumer_pkey PRIMARY KEY (consumer);
ALTER TABLE ONLY public.dead_letter_action
    ADD CONSTRAINT dead_letter_action_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.dead_letter_group
    ADD CONSTRAINT dead_letter_group_pkey PRIMARY KEY (fingerprint);
ALTER TABLE ONLY public.dead_letter
    ADD CONSTRAINT dead_letter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.dead_letter_run
    ADD CONSTRAINT dead_letter_run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.decision
    ADD CONSTRAINT decision_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.feed_cursor
    ADD CONSTRAINT feed_cursor_pkey PRIMARY KEY (reaction);
ALTER TABLE ONLY public.feed
    ADD CONSTRAINT feed_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.idempotency_key
    ADD CONSTRAINT idempotency_key_pkey PRIMARY KEY (scope, key);
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (reaction, event_id);
ALTER TABLE ONLY public.notification
    ADD CONSTRAINT notification_order_id_key UNIQUE (order_id);
ALTER TABLE ONLY public.notification
    ADD CONSTRAINT notification_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_event_id_key UNIQUE (event_id);
ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY ("position");
ALTER TABLE ONLY public.page_session
    ADD CONSTRAINT page_session_pkey PRIMARY KEY (id);
CREATE INDEX dead_letter_action_letter ON public.dead_letter_action USING btree (letter_id, id);
CREATE INDEX dead_letter_action_run ON public.dead_letter_action USING btree (run_id, id);
CREATE INDEX dead_letter_by_fingerprint ON public.dead_letter USING btree (fingerprint, state, id);
CREATE INDEX dead_letter_by_reaction ON public.dead_letter USING btree (reaction, state, id);
CREATE INDEX dead_letter_by_state ON public.dead_letter USING btree (state, id);
CREATE INDEX dead_letter_group_last_at ON public.dead_letter_group USING btree (last_at, fingerprint);
CREATE INDEX dead_letter_holds ON public.dead_letter USING btree (event_id, reaction) WHERE (event_id IS NOT NULL);
CREATE UNIQUE INDEX dead_letter_run_alone ON public.dead_letter_run USING btree (fingerprint) WHERE ((state)::text = 'RUNNING'::text);
CREATE INDEX dead_letter_run_of_group ON public.dead_letter_run USING btree (fingerprint, id);
CREATE INDEX dead_letter_settled ON public.dead_letter USING btree (received_at) WHERE ((state)::text <> 'OPEN'::text);
CREATE INDEX idempotency_key_age ON public.idempotency_key USING btree (created_at);
CREATE INDEX inbox_handled_at ON public.inbox USING btree (handled_at);
CREATE INDEX inbox_repaired ON public.inbox USING btree (reaction, arrival) WHERE ((arrival)::text = ANY ((ARRAY['PULLED'::character varying, 'LATE'::character varying])::text[]));
CREATE INDEX notification_in_trouble ON public.notification USING btree (state, id) WHERE ((state)::text = ANY ((ARRAY['FAILED'::character varying, 'UNKNOWN'::character varying, 'HELD'::character varying, 'DISCARDED'::character varying])::text[]));
CREATE INDEX notification_left ON public.notification USING btree (slot_at) WHERE (slot_at IS NOT NULL);
CREATE INDEX notification_open ON public.notification USING btree (due_at, id) WHERE ((state)::text = ANY ((ARRAY['READY'::character varying, 'SENDING'::character varying, 'UNKNOWN'::character varying])::text[]));
CREATE INDEX notification_to ON public.notification USING btree (slot_of, slot_at) WHERE (slot_at IS NOT NULL);
CREATE INDEX outbox_created_at ON public.outbox USING btree (created_at);
CREATE INDEX outbox_feed ON public.outbox USING btree (transaction, "position");
CREATE INDEX outbox_open ON public.outbox USING btree ("position") WHERE ((state)::text = ANY ((ARRAY['PENDING'::character varying, 'LEASED'::character varying])::text[]));
CREATE INDEX outbox_parked ON public.outbox USING btree ("position") WHERE ((state)::text = 'PARKED'::text);
CREATE INDEX page_session_expires_at ON public.page_session USING btree (expires_at);
