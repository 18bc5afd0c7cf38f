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
CREATE TABLE public.erasure (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    by character varying(255) NOT NULL,
    reason character varying(1000) NOT NULL,
    orders integer NOT NULL
);
CREATE SEQUENCE public.erasure_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.erasure_id_seq OWNED BY public.erasure.id;
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
CREATE TABLE public.orders (
    id uuid NOT NULL,
    customer_name character varying(200) NOT NULL,
    name_key character varying(100) NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    owner character varying(255),
    customer_email character varying(254),
    email_key character varying(254),
    created_event character varying(36) NOT NULL,
    erased_at timestamp with time zone,
    notification_state character varying(20) DEFAULT 'WAITING'::character varying NOT NULL,
    notification_channel character varying(20),
    notification_at timestamp with time zone,
    notification_reason character varying(500),
    notification_version integer DEFAULT 0 NOT NULL
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
ALTER TABLE ONLY public.erasure ALTER COLUMN id SET DEFAULT nextval('public.erasure_id_seq'::regclass);
ALTER TABLE ONLY public.outbox ALTER COLUMN "position" SET DEFAULT nextval('public.outbox_position_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0001.2_order');
INSERT INTO public.alembic_version VALUES ('0001.2_chassis');
INSERT INTO public.consumer VALUES ('notification/erase_customer_on_order_erased', 'OrderErased', 738, 3, '2026-11-29 07:54:58.151969+00');
INSERT INTO public.consumer VALUES ('notification/notify_customer_on_order_created', 'OrderCreated', 738, 3, '2026-11-29 07:55:01.487096+00');
INSERT INTO public.dead_letter VALUES (1, 'show_notification_on_notification_sent', 'There is no order c9015c80-7587-46ca-9e54-a6f2a566c7bb to show a notification of.', '\x7b227370656376657273696f6e223a22312e30222c226964223a2230316132323634632d646436332d373665392d623164632d376566316631383838336632222c22736f75726365223a222f6e6f74696669636174696f6e222c2274797065223a224e6f74696669636174696f6e53656e74222c227375626a656374223a2263393031356338302d373538372d343663612d396535342d613666326135363663376262222c2274696d65223a22323032362d31312d32395430373a35353a30312e3334375a222c2264617461636f6e74656e7474797065223a226170706c69636174696f6e2f6a736f6e222c2264617461736368656d61223a2275726e3a636f6e74726163743a4e6f74696669636174696f6e53656e743a31222c2274726163656964223a2230302d34626639326633353737623334646136613363653932396430653065343733362d303066303637616130626139303262372d3031222c227472616365706172656e74223a2230302d34626639326633353737623334646136613363653932396430653065343733362d303066303637616130626139303262372d3031222c22636f7272656c6174696f6e6964223a2263393031356338302d373538372d343663612d396535342d613666326135363663376262222c22636175736174696f6e6964223a2230316132323634632d646434382d376565362d623431382d333035323439616665646531222c2261676772656761746576657273696f6e223a312c2264617461223a7b226f726465724964223a2263393031356338302d373538372d343663612d396535342d613666326135363663376262222c226368616e6e656c223a22636f6e736f6c65222c2273656e744174223a22323032362d31312d32395430373a35353a30312e3334375a227d2c227369676e6174757265223a22312e74657374732e37373264633033636439333833316335383330393630626637646135316230386130303335613563383264313536623865356330656133313334353364323035227d', '2026-11-29 07:55:02.448307+00', '01a2264c-dd63-76e9-b1dc-7ef1f18883f2', true, 'OPEN', 1, NULL, NULL, NULL, NULL, '46aea77f54c75de9', NULL);
INSERT INTO public.dead_letter_group VALUES ('46aea77f54c75de9', 'show_notification_on_notification_sent', 'There is no order … to show a notification of.', true, 1, 0, 0, '2026-11-29 07:55:02.448307+00', '2026-11-29 07:55:02.448307+00');
INSERT INTO public.erasure VALUES (1, '2026-11-29 07:55:01.743+00', 'Ada', '4711', 1);
INSERT INTO public.feed VALUES ('7670fcba-ce41-4349-8792-77a97d2a63e9', 'order', -1, -1);
INSERT INTO public.feed_cursor VALUES ('show_notification_on_notification_released', '1e080e22-1cef-4075-81d6-506c3f3200ab.754.4.01a2264c-dd63-76e9-b1dc-7ef1f18883f2');
INSERT INTO public.feed_cursor VALUES ('show_notification_on_notification_failed', '1e080e22-1cef-4075-81d6-506c3f3200ab.754.4.01a2264c-dd63-76e9-b1dc-7ef1f18883f2');
INSERT INTO public.feed_cursor VALUES ('show_notification_on_notification_sent', '1e080e22-1cef-4075-81d6-506c3f3200ab.754.4.01a2264c-dd63-76e9-b1dc-7ef1f18883f2');
INSERT INTO public.idempotency_key VALUES ('POST /api/order', '0b8f6f4e-5d0a-4b5e-9f43-6a1f6f8f0c11', '\x58d5c1b2eb412d63dd750181d58921ab1ba2280209c1071b7159fc4917934544', 201, '{"location": "order/01a2264c-c861-7f82-b5b7-c835f1285c9f", "content-length": "50", "content-type": "application/json"}', '\x7b226f726465724964223a2230316132323634632d633836312d376638322d623562372d633833356631323835633966227d', '2026-11-29 07:54:55.969699+00');
INSERT INTO public.inbox VALUES ('show_notification_on_notification_sent', '01a2264c-d954-7ee2-8071-5e9e9f019d5a', '2026-11-29 07:55:01.276308+00', 'PULLED');
INSERT INTO public.inbox VALUES ('show_notification_on_notification_sent', '01a2264c-d9b4-7de8-9040-290f9ff437a4', '2026-11-29 07:55:01.276308+00', 'PULLED');
INSERT INTO public.inbox VALUES ('show_notification_on_notification_sent', '01a2264c-d9e1-7f64-abc2-414dc65cc186', '2026-11-29 07:55:01.276308+00', 'PULLED');
INSERT INTO public.inbox VALUES ('show_notification_on_notification_sent', '01a2264c-dd63-76e9-b1dc-7ef1f18883f2', '2026-11-29 07:55:02.446077+00', 'PULLED');
INSERT INTO public.orders VALUES ('01a2264c-c861-7f82-b5b7-c835f1285c9f', 'Jane Doe', 'jane doe', '2026-11-29 07:54:55.969+00', NULL, NULL, NULL, '01a2264c-c861-7357-b3be-13539c65d6ee', NULL, 'SENT', 'console', '2026-11-29 07:55:00.308+00', NULL, 1);
INSERT INTO public.orders VALUES ('01a2264c-c89d-7045-90ca-9ce77a6da23f', 'Jörg Müller', 'jörg müller', '2026-11-29 07:54:56.029+00', NULL, 'joerg@example.org', 'joerg@example.org', '01a2264c-c89d-77dc-8d61-f456af850939', NULL, 'SENT', 'email', '2026-11-29 07:55:00.401+00', NULL, 1);
INSERT INTO public.orders VALUES ('01a2264c-c8be-71d0-9429-f964f6910415', '(erased)', '(erased)', '2026-11-29 07:54:56.062+00', NULL, NULL, NULL, '01a2264c-c8be-7588-b1de-2df2a8901b84', '2026-11-29 07:55:01.743+00', 'SENT', 'email', '2026-11-29 07:55:00.438+00', NULL, 1);
INSERT INTO public.orders VALUES ('01a2264c-e205-756b-b1f1-ad2f845e94d1', 'Lena Late', 'lena late', '2026-11-29 07:55:02.533+00', NULL, 'lena@example.org', 'lena@example.org', '01a2264c-e205-7ee0-8c22-04e45f445433', NULL, 'WAITING', NULL, NULL, NULL, 0);
INSERT INTO public.outbox VALUES (1, 733, '01a2264c-c861-7357-b3be-13539c65d6ee', 'OrderCreated', '{"specversion":"1.0","id":"01a2264c-c861-7357-b3be-13539c65d6ee","source":"/order","type":"OrderCreated","subject":"01a2264c-c861-7f82-b5b7-c835f1285c9f","time":"2026-11-29T07:54:55.969Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-748e4831a68d0ae8c44aa0ea20b2abfe-4d4a0b49a57ab714-00","traceparent":"00-748e4831a68d0ae8c44aa0ea20b2abfe-4d4a0b49a57ab714-00","correlationid":"01a2264c-c861-7f82-b5b7-c835f1285c9f","causationid":"00-748e4831a68d0ae8c44aa0ea20b2abfe-4d4a0b49a57ab714-00","aggregateversion":1,"data":{"orderId":"01a2264c-c861-7f82-b5b7-c835f1285c9f","customerName":"Jane Doe","createdAt":"2026-11-29T07:54:55.969Z"},"signature":"1.tests.a74a3622de38f5a0c2272055531eaf4a0bbc6023234ee243fc7a735f336f4be0"}', 766, 'PUBLISHED', 1, 0, NULL, NULL, NULL, NULL, '2026-11-29 07:54:56.052101+00', '2026-11-29 07:54:55.970162+00');
INSERT INTO public.outbox VALUES (2, 736, '01a2264c-c89d-77dc-8d61-f456af850939', 'OrderCreated', '{"specversion":"1.0","id":"01a2264c-c89d-77dc-8d61-f456af850939","source":"/order","type":"OrderCreated","subject":"01a2264c-c89d-7045-90ca-9ce77a6da23f","time":"2026-11-29T07:54:56.029Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-77d9fe3e80c012218961977e7647e958-d7543e3aec926817-00","traceparent":"00-77d9fe3e80c012218961977e7647e958-d7543e3aec926817-00","correlationid":"01a2264c-c89d-7045-90ca-9ce77a6da23f","causationid":"00-77d9fe3e80c012218961977e7647e958-d7543e3aec926817-00","aggregateversion":1,"data":{"orderId":"01a2264c-c89d-7045-90ca-9ce77a6da23f","customerName":"Jörg Müller","customerEmail":"joerg@example.org","createdAt":"2026-11-29T07:54:56.029Z"},"signature":"1.tests.f658b4cb4cc96ee46ab164822038dd7d2bd4db3be17354cb5f1b45fc09fae4d8"}', 807, 'PUBLISHED', 1, 0, NULL, NULL, NULL, NULL, '2026-11-29 07:54:56.091531+00', '2026-11-29 07:54:56.029801+00');
INSERT INTO public.outbox VALUES (3, 738, '01a2264c-c8be-7588-b1de-2df2a8901b84', 'OrderCreated', '{"specversion":"1.0","id":"01a2264c-c8be-7588-b1de-2df2a8901b84","source":"/order","type":"OrderCreated","subject":"01a2264c-c8be-71d0-9429-f964f6910415","time":"2026-11-29T07:54:56.062Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-2d4415898b4b43dd308fc81079ddc5de-5c575aeb78207625-00","traceparent":"00-2d4415898b4b43dd308fc81079ddc5de-5c575aeb78207625-00","correlationid":"01a2264c-c8be-71d0-9429-f964f6910415","causationid":"00-2d4415898b4b43dd308fc81079ddc5de-5c575aeb78207625-00","aggregateversion":1,"data":{"orderId":"01a2264c-c8be-71d0-9429-f964f6910415","customerName":"(erased)","createdAt":"2026-11-29T07:54:56.062Z","erasedAt":"2026-11-29T07:55:01.743Z"},"signature":"1.tests.788dcb65346e5ceeec6cf9fdc62d4c2953a2afe887556c73f638a182c3b5d7c3"}', 804, 'PUBLISHED', 1, 0, NULL, NULL, NULL, NULL, '2026-11-29 07:54:56.110965+00', '2026-11-29 07:54:56.063992+00');
INSERT INTO public.outbox VALUES (4, 758, '01a2264c-df10-7f0c-b086-6068faa09b75', 'OrderErased', '{"specversion":"1.0","id":"01a2264c-df10-7f0c-b086-6068faa09b75","source":"/order","type":"OrderErased","subject":"01a2264c-c8be-71d0-9429-f964f6910415","time":"2026-11-29T07:55:01.776Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderErased:1","traceid":"00-44a52868d2abbb207a4b1be7c987e869-19f9ecafafd27108-00","traceparent":"00-44a52868d2abbb207a4b1be7c987e869-19f9ecafafd27108-00","correlationid":"01a2264c-c8be-71d0-9429-f964f6910415","causationid":"00-44a52868d2abbb207a4b1be7c987e869-19f9ecafafd27108-00","aggregateversion":2,"data":{"orderId":"01a2264c-c8be-71d0-9429-f964f6910415","createdAt":"2026-11-29T07:54:56.062Z","createdEvent":"01a2264c-c8be-7588-b1de-2df2a8901b84","erasedAt":"2026-11-29T07:55:01.743Z"},"signature":"1.tests.2176669d595cba8b97dfdf0a80f2a85fca301cd5e01089a1d13c9c9d4a77a2ac"}', 830, 'PULL_ONLY', 0, 0, NULL, NULL, NULL, NULL, NULL, '2026-11-29 07:55:01.811844+00');
INSERT INTO public.outbox VALUES (5, 768, '01a2264c-e205-7ee0-8c22-04e45f445433', 'OrderCreated', '{"specversion":"1.0","id":"01a2264c-e205-7ee0-8c22-04e45f445433","source":"/order","type":"OrderCreated","subject":"01a2264c-e205-756b-b1f1-ad2f845e94d1","time":"2026-11-29T07:55:02.533Z","datacontenttype":"application/json","dataschema":"urn:contract:OrderCreated:1","traceid":"00-d7340d52f5247696d7daaab4452f3cc5-35fe67a40ad4a460-00","traceparent":"00-d7340d52f5247696d7daaab4452f3cc5-35fe67a40ad4a460-00","correlationid":"01a2264c-e205-756b-b1f1-ad2f845e94d1","causationid":"00-d7340d52f5247696d7daaab4452f3cc5-35fe67a40ad4a460-00","aggregateversion":1,"data":{"orderId":"01a2264c-e205-756b-b1f1-ad2f845e94d1","customerName":"Lena Late","customerEmail":"lena@example.org","createdAt":"2026-11-29T07:55:02.533Z"},"signature":"1.tests.eedeaf98654865baf118c5bba50cc940bdd781b9b5ed3429739a73bd105d6949"}', 802, 'PENDING', 1, 0, NULL, NULL, NULL, NULL, NULL, '2026-11-29 07:55:02.533903+00');
SELECT pg_catalog.setval('public.dead_letter_action_id_seq', 1, false);
SELECT pg_catalog.setval('public.dead_letter_id_seq', 1, true);
SELECT pg_catalog.setval('public.dead_letter_run_id_seq', 1, false);
SELECT pg_catalog.setval('public.erasure_id_seq', 1, true);
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
ALTER TABLE ONLY public.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.feed_cursor
    ADD CONSTRAINT feed_cursor_pkey PRIMARY KEY (reaction);
ALTER TABLE ONLY public.feed
    ADD CONSTRAINT feed_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.idempotency_key
    ADD CONSTRAINT idempotency_key_pkey PRIMARY KEY (scope, key);
ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (reaction, event_id);
ALTER TABLE ONLY public.orders
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
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
CREATE INDEX orders_email ON public.orders USING btree (email_key, id) WHERE (email_key IS NOT NULL);
CREATE INDEX orders_name ON public.orders USING btree (name_key);
CREATE INDEX orders_owner ON public.orders USING btree (owner, id) WHERE (owner IS NOT NULL);
CREATE INDEX orders_unsent ON public.orders USING btree (notification_state, id) WHERE ((notification_state)::text <> 'SENT'::text);
CREATE INDEX outbox_created_at ON public.outbox USING btree (created_at);
CREATE INDEX outbox_feed ON public.outbox USING btree (transaction, "position");
CREATE INDEX outbox_open ON public.outbox USING btree ("position") WHERE ((state)::text = ANY ((ARRAY['PENDING'::character varying, 'LEASED'::character varying])::text[]));
CREATE INDEX outbox_parked ON public.outbox USING btree ("position") WHERE ((state)::text = 'PARKED'::text);
CREATE INDEX page_session_expires_at ON public.page_session USING btree (expires_at);
