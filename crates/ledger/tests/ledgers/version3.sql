-- A ledger of schema version 3, as version 0.1.0 wrote it, with some rows of other programs.
PRAGMA user_version=3;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE tickets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    violation_key TEXT NOT NULL,
    invariant_name TEXT NOT NULL,
    store_id TEXT,
    status TEXT NOT NULL DEFAULT 'open',
    held BOOLEAN NOT NULL DEFAULT 0,
    batch_key TEXT,
    occurrence_count INTEGER NOT NULL DEFAULT 1,
    first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    resolved_at TEXT,
    message TEXT NOT NULL,
    severity TEXT NOT NULL DEFAULT 'warning',
    diagnosis TEXT,
    metric_snapshot TEXT,
    subject_context TEXT,
    variant_model TEXT,
    variant_system_prompt TEXT,
    variant_tools_config TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
, live_key TEXT, cluster_id TEXT, resolution TEXT, claimed INTEGER NOT NULL DEFAULT 0, flaps INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, retry_at TEXT, needs_person INTEGER NOT NULL DEFAULT 0, by_hand INTEGER NOT NULL DEFAULT 0, fence INTEGER NOT NULL DEFAULT 0, lease_holder TEXT, lease_boot TEXT, lease_until_ms INTEGER, budget_from INTEGER NOT NULL DEFAULT 0);
INSERT INTO tickets VALUES(1,'store_down:2','store_down','2','resolved',0,'batch-2026-11-29T21:39:53.132Z',3,'2026-11-29T21:39:53.132Z','2026-11-29T21:39:53.483Z','2026-11-29T21:39:53.527Z','tikv2 (127.0.0.1:20161) is down: last heartbeat 9 s ago','critical','tikv2 was dead; started it','{"stores":2}','PD is at http://127.0.0.1:1',NULL,NULL,NULL,'2026-11-29T21:39:53.132Z','2026-11-29 21:39:53',NULL,'7001','proven',1,0,1,NULL,0,0,1,NULL,NULL,NULL,0);
INSERT INTO tickets VALUES(2,'pd_member_down:pd1','pd_member_down','pd1','resolved',0,'batch-2026-11-29T21:39:53.132Z',4,'2026-11-29T21:39:53.132Z','2026-11-29T21:39:53.527Z','2026-11-29T21:39:53.744Z','PD member pd1 does not answer at http://127.0.0.1:2380','warning','ESCALATED: no use','{"stores":2}','PD is at http://127.0.0.1:1',NULL,NULL,NULL,'2026-11-29T21:39:53.132Z','2026-11-29 21:39:53',NULL,'7001','cleared',0,0,0,NULL,0,0,6,NULL,NULL,NULL,4);
INSERT INTO tickets VALUES(3,'store_down:3','store_down','3','open',0,'batch-2026-11-29T21:39:53.790Z',2,'2026-11-29T21:39:53.744Z','2026-11-29T21:39:53.790Z',NULL,'tikv3 (127.0.0.1:20162) is down: last heartbeat 40 s ago','critical',NULL,'{"stores":2}','PD is at http://127.0.0.1:1',NULL,NULL,NULL,'2026-11-29T21:39:53.744Z','2026-11-29 21:39:53','7001/store_down:3','7001',NULL,0,1,0,NULL,0,0,1,NULL,NULL,NULL,4);
INSERT INTO tickets VALUES(4,'alert:c3a5','QueueFull',NULL,'resolved',0,'g',1,'2026-11-29T21:39:53.801Z','2026-11-29T21:39:53.808Z','2026-11-29T21:39:53.870Z','the queue is full','warning',NULL,'{"stores":2}',replace('labels\n\nPD is at http://127.0.0.1:1','\n',char(10)),NULL,NULL,NULL,'2026-11-29T21:39:53.808Z','2026-11-29 21:39:53',NULL,'7001','external',0,0,1,NULL,0,0,1,NULL,NULL,NULL,0);
INSERT INTO tickets VALUES(5,'by_hand:01a22940-0fa9-765b-895b-6f3373b7e480','by_hand',NULL,'acknowledged',0,NULL,1,'2026-11-29T21:39:53.897Z','2026-11-29T21:39:53.897Z',NULL,'proven: p99 doubled since noon','info',NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29T21:39:53.897Z','2026-11-29 21:39:53','/by_hand:01a22940-0fa9-765b-895b-6f3373b7e480','7001',NULL,0,0,1,NULL,0,1,1,'00000000-0000-0000-0000-000000000000/25639/185254','00000000-0000-0000-0000-000000000000',1913379,0);
INSERT INTO tickets VALUES(6,'high_latency:1','high_latency','1','diagnosed',1,NULL,1,'2026-11-29T21:39:53.911Z','2026-11-29T21:39:53.911Z',NULL,'tikv1 answers slowly','page',NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29T21:39:53.911Z','2026-11-29T21:39:53.911Z','/high_latency:1','7001',NULL,0,0,0,NULL,1,0,0,NULL,NULL,NULL,0);
CREATE TABLE agent_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT UNIQUE NOT NULL,
    ticket_id INTEGER REFERENCES tickets(id),
    status TEXT NOT NULL DEFAULT 'running',
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome_summary TEXT,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
, model TEXT, mode TEXT, cluster_id TEXT, fence INTEGER, holder TEXT, resolution TEXT, head_hash TEXT, input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER, cost_usd REAL, turns INTEGER, side_usd REAL NOT NULL DEFAULT 0, worked_ms INTEGER NOT NULL DEFAULT 0);
INSERT INTO agent_sessions VALUES(1,'2026-11-29T21-39-53-4e3c92ea',1,'resolved','2026-11-29T21:39:53.149Z','2026-11-29T21:39:53.550Z','tikv2 started. Proven: not violated','2026-11-29T21:39:53.149Z','rehearsal','propose','7001',1,'00000000-0000-0000-0000-000000000000/25639/185254','proven','4afd388b32f5252e39371d4dd2ca1b3c1803f16f038aee4a290d5e2978b19211',0,0,0,0,0.010000000000000000208,1,0.0,400);
INSERT INTO agent_sessions VALUES(2,'2026-11-29T21-39-53-22d3ff04',2,'interrupted','2026-11-29T21:39:53.585Z','2026-11-29T21:39:53.606Z','interrupted: SIGTERM','2026-11-29T21:39:53.585Z','rehearsal','propose','7001',1,'00000000-0000-0000-0000-000000000000/25639/185254',NULL,'30dcfed039e29fdb8d7e6b5b0ad196e3287b74627e1f801d69c34df877d0f8f6',NULL,NULL,NULL,NULL,NULL,NULL,0.0,20);
INSERT INTO agent_sessions VALUES(3,'2026-11-29T21-39-53-d3caec9e',2,'escalated','2026-11-29T21:39:53.624Z','2026-11-29T21:39:53.643Z','no use: I cannot','2026-11-29T21:39:53.624Z','rehearsal','propose','7001',2,'00000000-0000-0000-0000-000000000000/25639/185254',NULL,'b8979ae96717a259658c28c03fdb62ac2114a53eb65fdfdcf842b23aeed420a8',NULL,NULL,NULL,NULL,NULL,NULL,0.0,19);
INSERT INTO agent_sessions VALUES(4,'2026-11-29T21-39-53-4356d34d',2,'failed','2026-11-29T21:39:53.711Z','2026-11-29T21:39:53.720Z','the model cannot go on','2026-11-29T21:39:53.711Z','rehearsal','propose','7001',5,'00000000-0000-0000-0000-000000000000/25639/185254',NULL,'40c15514c3d102064eb2f6d8cdeca3926b56de47b2fcb4d3246309515438f8fa',NULL,NULL,NULL,NULL,NULL,NULL,0.0,7);
INSERT INTO agent_sessions VALUES(5,'2026-11-29T21-39-53-13599b17',4,'resolved','2026-11-29T21:39:53.831Z','2026-11-29T21:39:53.887Z','External: it is resolved','2026-11-29T21:39:53.831Z','rehearsal','propose','7001',1,'00000000-0000-0000-0000-000000000000/25639/185254','external','e6710bfd412cecc2d9ef77c1dd843f3bb0483f216ae39e1bbd7250099f92ad72',NULL,NULL,NULL,NULL,NULL,NULL,0.0,55);
INSERT INTO agent_sessions VALUES(6,'2026-11-29T21-39-53-3a4d267b',5,'running','2026-11-29T21:39:53.912Z',NULL,NULL,'2026-11-29T21:39:53.912Z','rehearsal','propose','7001',1,'00000000-0000-0000-0000-000000000000/25639/185254',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0.0,20);
INSERT INTO agent_sessions VALUES(7,'2026-01-30T10-11-12-3fa9c01b',6,'completed','2026-11-29T21:39:53.911Z','2026-11-29T21:39:53.911Z','done','2026-11-29T21:39:53.911Z',NULL,'careful',NULL,NULL,NULL,'magic',NULL,NULL,NULL,NULL,NULL,NULL,NULL,0.0,0);
CREATE TABLE agent_log_entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL REFERENCES agent_sessions(session_id),
    entry_type TEXT NOT NULL,
    content TEXT NOT NULL,
    raw_content TEXT,
    tool_name TEXT,
    tool_params TEXT,
    exit_code INTEGER,
    timestamp TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
, call_id TEXT, duration_ms INTEGER, timed_out INTEGER, omitted_bytes INTEGER, meta TEXT, hash TEXT);
INSERT INTO agent_log_entries VALUES(1,'2026-11-29T21-39-53-4e3c92ea','system','system prompt','you are an SRE',NULL,NULL,NULL,'2026-11-29T21:39:53.172Z','2026-11-29T21:39:53.172Z',NULL,NULL,0,0,'{"tools":[{"name":"shell"}],"max_tokens":8192,"effort":"high","budget":{"turns":40,"tokens":100000,"usd":2.5,"seconds":600,"usd_per_day":20.0}}','4f0c84b06d046b71e22f919041ad3202e95054d367bf5a7094fdd31108bd8ebf');
INSERT INTO agent_log_entries VALUES(2,'2026-11-29T21-39-53-4e3c92ea','ticket','tikv2 is down',replace('# Ticket 1\ninvariant: store_down','\n',char(10)),NULL,NULL,NULL,'2026-11-29T21:39:53.180Z','2026-11-29T21:39:53.180Z',NULL,NULL,0,0,NULL,'ea0e9d0be3f5576b353f17ac4eac65be06ba2fafb4e825df072293c5c873b9cc');
INSERT INTO agent_log_entries VALUES(3,'2026-11-29T21-39-53-4e3c92ea','thinking','tikv2 may be dead','tikv2 may be dead',NULL,NULL,NULL,'2026-11-29T21:39:53.181Z','2026-11-29T21:39:53.181Z',NULL,NULL,0,0,NULL,'4f86b1673e620586ddddbad3690d198ea8e6fc432de7b5f74e8df1a7528d7eb6');
INSERT INTO agent_log_entries VALUES(4,'2026-11-29T21-39-53-4e3c92ea','reasoning','I look first.','I look first.',NULL,NULL,NULL,'2026-11-29T21:39:53.181Z','2026-11-29T21:39:53.181Z',NULL,NULL,0,0,NULL,'0a4cab9127a8d85ad2d2e954715100b2fe9f4e614b8b0bd0b77c3443cbf3ac97');
INSERT INTO agent_log_entries VALUES(5,'2026-11-29T21-39-53-4e3c92ea','usage','10 in, 5 out','10 in, 5 out',NULL,NULL,NULL,'2026-11-29T21:39:53.181Z','2026-11-29T21:39:53.181Z',NULL,NULL,0,0,'{"input":10,"output":5,"cache_read":0,"cache_write":0,"broken_off":0,"cost_usd":0.01,"max_tokens":8192}','986898068ecd1b4def20ecf793e47f82c975053495d81432c1c30755d5a98b62');
INSERT INTO agent_log_entries VALUES(6,'2026-11-29T21-39-53-4e3c92ea','tool_call','shell: operator-tui lab ps',NULL,'shell','{"command":"operator-tui lab ps","reasoning":"to see","timeout_s":120}',NULL,'2026-11-29T21:39:53.189Z','2026-11-29T21:39:53.189Z','c1',NULL,0,0,NULL,'8c3e80685e6094192bbbf59accee12273ea99d1f7c2869926ad37c035da6e5af');
INSERT INTO agent_log_entries VALUES(7,'2026-11-29T21-39-53-4e3c92ea','tool_result','exit 0: two stores',replace('exit 0, 0.1 s\ntikv1 up\ntikv2 down','\n',char(10)),'shell',NULL,0,'2026-11-29T21:39:53.205Z','2026-11-29T21:39:53.205Z','c1',120,0,3,'{"not_shown_to_model":9,"output_from":0,"output_to":2,"output_sha256":"d0637bec34e345472dbc52fdbac2dd6b2ab20cf8d01f73085ba945c45f1a4b9b","file":"/tmp/out-1","missing_in_file":0}','346bbe836cdfb343e2e31c2a065c65fd12e21d2c9464d5aa9425e42a6b76ea98');
INSERT INTO agent_log_entries VALUES(8,'2026-11-29T21-39-53-4e3c92ea','tool_call','web_fetch: http://127.0.0.1:9/doc',NULL,'web_fetch','{"url":"http://127.0.0.1:9/doc","reasoning":"to read"}',NULL,'2026-11-29T21:39:53.214Z','2026-11-29T21:39:53.214Z','c2',NULL,0,0,NULL,'305f150dfb5f507d9939077d6444178026d802497db0835161510d7a6ca9a27f');
INSERT INTO agent_log_entries VALUES(9,'2026-11-29T21-39-53-4e3c92ea','tool_result','connection refused','connection refused','web_fetch',NULL,1,'2026-11-29T21:39:53.222Z','2026-11-29T21:39:53.222Z','c2',2,0,0,NULL,'bbfa51d9982397c079b065a77542db7fc895c3ec66ad726e71fde576e365a72e');
INSERT INTO agent_log_entries VALUES(10,'2026-11-29T21-39-53-4e3c92ea','tool_call','shell: restart c3',NULL,'shell','{"command":"restart c3","reasoning":""}',NULL,'2026-11-29T21:39:53.230Z','2026-11-29T21:39:53.230Z','c3',NULL,0,0,NULL,'a4a0e4bca3e5f15eebbce527db211a98f127d01b1b3e62e15fd24dae3c651cb7');
INSERT INTO agent_log_entries VALUES(11,'2026-11-29T21-39-53-4e3c92ea','tool_result',replace('exit 1, 0.2 s\nno such node','\n',char(10)),replace('exit 1, 0.2 s\nno such node','\n',char(10)),'shell',NULL,1,'2026-11-29T21:39:53.244Z','2026-11-29T21:39:53.244Z','c3',200,0,0,NULL,'ce764fe5edadefdf13f0dba24e64b5fcfa3b30a00021d46ec114393f19508845');
INSERT INTO agent_log_entries VALUES(12,'2026-11-29T21-39-53-4e3c92ea','tool_call','shell: restart c4',NULL,'shell','{"command":"restart c4","reasoning":""}',NULL,'2026-11-29T21:39:53.257Z','2026-11-29T21:39:53.257Z','c4',NULL,0,0,NULL,'ab251438223845eecab4f694028966e6c3377275a0ab492c98bfa7d1d88388d4');
INSERT INTO agent_log_entries VALUES(13,'2026-11-29T21-39-53-4e3c92ea','tool_result',replace('ended by signal 9\nhalf','\n',char(10)),replace('ended by signal 9\nhalf','\n',char(10)),'shell',NULL,NULL,'2026-11-29T21:39:53.268Z','2026-11-29T21:39:53.268Z','c4',200,0,0,'{"signal":9}','f6637699e7bd177a4917ecbc7dff7163ef654692802341a3adfd83f25c487085');
INSERT INTO agent_log_entries VALUES(14,'2026-11-29T21-39-53-4e3c92ea','tool_call','shell: restart c5',NULL,'shell','{"command":"restart c5","reasoning":""}',NULL,'2026-11-29T21:39:53.282Z','2026-11-29T21:39:53.282Z','c5',NULL,0,0,NULL,'ca9ab1ab2d426dc97ccf336aa26778915d1b2b63cfbb5417c6073b140ed238bd');
INSERT INTO agent_log_entries VALUES(15,'2026-11-29T21-39-53-4e3c92ea','tool_result',replace('time limit of 2 s\nslow','\n',char(10)),replace('time limit of 2 s\nslow','\n',char(10)),'shell',NULL,NULL,'2026-11-29T21:39:53.299Z','2026-11-29T21:39:53.299Z','c5',200,1,0,NULL,'326da112520f8d1eba8a039f7a618ea7caffa14553b0491ac9f445549e18a158');
INSERT INTO agent_log_entries VALUES(16,'2026-11-29T21-39-53-4e3c92ea','tool_call','shell: restart c6',NULL,'shell','{"command":"restart c6","reasoning":""}',NULL,'2026-11-29T21:39:53.307Z','2026-11-29T21:39:53.307Z','c6',NULL,0,0,NULL,'93770dcdae6f2dce513f6c59adcada5b9af210c7d1664e9aafad650ae5481013');
INSERT INTO agent_log_entries VALUES(17,'2026-11-29T21-39-53-4e3c92ea','tool_result','interrupted: ended from outside','interrupted: ended from outside','shell',NULL,NULL,'2026-11-29T21:39:53.315Z','2026-11-29T21:39:53.315Z','c6',200,0,0,NULL,'ea411eb2c22766f6a3febafd8a76a8e45cd6962c2ceb6a089328880d813d3377');
INSERT INTO agent_log_entries VALUES(18,'2026-11-29T21-39-53-4e3c92ea','tool_call','shell: operator-tui lab start tikv2',NULL,'shell','{"command":"operator-tui lab start tikv2","reasoning":"it is down"}',NULL,'2026-11-29T21:39:53.331Z','2026-11-29T21:39:53.331Z','c7',NULL,0,0,NULL,'8921359903e60bd69f6f3e60142d70357b21230d009b9635dab5b41005337ee2');
INSERT INTO agent_log_entries VALUES(19,'2026-11-29T21-39-53-4e3c92ea','proposal','in this mode a person approves what may change something','in this mode a person approves what may change something',NULL,NULL,NULL,'2026-11-29T21:39:53.341Z','2026-11-29T21:39:53.341Z','c7',NULL,0,0,NULL,'b8109388cf11a16987555aa887c8d0fca57b38bf2d7b31b100b77875b600079d');
INSERT INTO agent_log_entries VALUES(20,'2026-11-29T21-39-53-4e3c92ea','decision','approved by kim: ','approved by kim: ',NULL,NULL,NULL,'2026-11-29T21:39:53.348Z','2026-11-29T21:39:53.348Z','c7',NULL,0,0,'{"approved":true,"by":"kim","why":""}','5da6e40773bc5bd2911bc10b27645aff9e2e02c8c826961f58da1b8c9a878cf2');
INSERT INTO agent_log_entries VALUES(21,'2026-11-29T21-39-53-4e3c92ea','tool_result',replace('exit 0, 0.3 s\nstarted tikv2','\n',char(10)),replace('exit 0, 0.3 s\nstarted tikv2','\n',char(10)),'shell',NULL,0,'2026-11-29T21:39:53.358Z','2026-11-29T21:39:53.358Z','c7',300,0,0,NULL,'84e0b3f8db99a3725a63a816bbf98e2a2d037957c240be189223425871b0da0a');
INSERT INTO agent_log_entries VALUES(22,'2026-11-29T21-39-53-4e3c92ea','tool_call','shell: rm -rf /data',NULL,'shell','{"command":"rm -rf /data","reasoning":"to clean"}',NULL,'2026-11-29T21:39:53.366Z','2026-11-29T21:39:53.366Z','c8',NULL,0,0,NULL,'47728b8fa71ee2f5c67eebb0412eae55bfad7221aa5605f0c78f1406c9ec8007');
INSERT INTO agent_log_entries VALUES(23,'2026-11-29T21-39-53-4e3c92ea','proposal','in this mode a person approves what may change something','in this mode a person approves what may change something',NULL,NULL,NULL,'2026-11-29T21:39:53.380Z','2026-11-29T21:39:53.380Z','c8',NULL,0,0,NULL,'74383bbd34d7b34e4d5020222d4a22da963abac8638b8b1ac806c7305c2832c4');
INSERT INTO agent_log_entries VALUES(24,'2026-11-29T21-39-53-4e3c92ea','decision','rejected by kim: not that','rejected by kim: not that',NULL,NULL,NULL,'2026-11-29T21:39:53.391Z','2026-11-29T21:39:53.391Z','c8',NULL,0,0,'{"approved":false,"by":"kim","why":"not that"}','f77e37ba5f0a67a869b25ddeafd39dc3b264d3f8cef64549007674d320ecb3b4');
INSERT INTO agent_log_entries VALUES(25,'2026-11-29T21-39-53-4e3c92ea','notice','shell: not run: rejected by kim: not that','shell: not run: rejected by kim: not that','shell',NULL,NULL,'2026-11-29T21:39:53.399Z','2026-11-29T21:39:53.399Z','c8',NULL,0,0,'{"input":"{\"command\":\"rm -rf /data\"}"}','99aff86806a517c1973651cd49d291cd1d19c38e348ca51106d31a48210395e3');
INSERT INTO agent_log_entries VALUES(26,'2026-11-29T21-39-53-4e3c92ea','notice','interrupted by kim; waiting for a message to go on','interrupted by kim; waiting for a message to go on',NULL,NULL,NULL,'2026-11-29T21:39:53.407Z','2026-11-29T21:39:53.407Z',NULL,NULL,0,0,NULL,'deef4494a4416a96866c150823018c63a9bf738067c7c07c6d94f8e8768a1122');
INSERT INTO agent_log_entries VALUES(27,'2026-11-29T21-39-53-4e3c92ea','message','look at pd1 too','look at pd1 too',NULL,NULL,NULL,'2026-11-29T21:39:53.415Z','2026-11-29T21:39:53.415Z',NULL,NULL,0,0,'{"by":"kim"}','12eb66e99ab7d5ef8d42b27f4203f0bd0f9928fcc601a46e389256e54eaa3d6a');
INSERT INTO agent_log_entries VALUES(28,'2026-11-29T21-39-53-4e3c92ea','message','The monitor still sees it.','The monitor still sees it.',NULL,NULL,NULL,'2026-11-29T21:39:53.427Z','2026-11-29T21:39:53.427Z',NULL,NULL,0,0,'{"by":"agent_lab"}','348aca0139e3ddccc0467c951bb1114927f5c8934c0051922e88b3e49601f8da');
INSERT INTO agent_log_entries VALUES(29,'2026-11-29T21-39-53-4e3c92ea','retry','529 overloaded, try 2 of 8, 4.0 s','529 overloaded, try 2 of 8, 4.0 s',NULL,NULL,NULL,'2026-11-29T21:39:53.434Z','2026-11-29T21:39:53.434Z',NULL,NULL,0,0,NULL,'5075a5c402165d8099aa8c9ca6397d6c42ace055dccb94663a9a44f391d42944');
INSERT INTO agent_log_entries VALUES(30,'2026-11-29T21-39-53-4e3c92ea','compaction','the context is full: 12 messages dropped, 3 actions kept in short','so far',NULL,NULL,NULL,'2026-11-29T21:39:53.443Z','2026-11-29T21:39:53.443Z',NULL,NULL,0,0,'{"why":"the context is full","messages_dropped":12,"tokens_before":90000,"actions_kept":3}','6d5935a0183743e95b38b0080239d20c5645d05a807c9abbe5aaeb6d9a765de3');
INSERT INTO agent_log_entries VALUES(31,'2026-11-29T21-39-53-4e3c92ea','verify','waiting: the monitor is asked to look','waiting: the monitor is asked to look',NULL,NULL,NULL,'2026-11-29T21:39:53.454Z','2026-11-29T21:39:53.454Z',NULL,NULL,0,0,'{"state":"waiting"}','4c11333e763dd26522109b3da2a13c9a06710c3d56ec006b4f7ae23693fa7bf9');
INSERT INTO agent_log_entries VALUES(32,'2026-11-29T21-39-53-4e3c92ea','verify','failed: tikv2 (127.0.0.1:20161) is down: last heartbeat 9 s ago','failed: tikv2 (127.0.0.1:20161) is down: last heartbeat 9 s ago',NULL,NULL,NULL,'2026-11-29T21:39:53.503Z','2026-11-29T21:39:53.503Z',NULL,NULL,0,0,'{"state":"failed"}','40d1009edc107ea3ecc722e96e1c10e6ff9515add1d31323ad80098ceb560e1d');
INSERT INTO agent_log_entries VALUES(33,'2026-11-29T21-39-53-4e3c92ea','verify','waiting: the monitor is asked to look','waiting: the monitor is asked to look',NULL,NULL,NULL,'2026-11-29T21:39:53.515Z','2026-11-29T21:39:53.515Z',NULL,NULL,0,0,'{"state":"waiting"}','9ec197a50784317b1748f1f8d7f1817fd6ff57ba733f6e4444d8ccdb0843d67c');
INSERT INTO agent_log_entries VALUES(34,'2026-11-29T21-39-53-4e3c92ea','verify','proven: not violated for 0.0 s: tikv2 is up, last heartbeat 0 s ago','proven: not violated for 0.0 s: tikv2 is up, last heartbeat 0 s ago',NULL,NULL,NULL,'2026-11-29T21:39:53.549Z','2026-11-29T21:39:53.549Z',NULL,NULL,0,0,'{"state":"proven"}','e9d6f868107e52ae59846ee4dc60e524dfb4547937b7bf217f8c2ecb3893fd01');
INSERT INTO agent_log_entries VALUES(35,'2026-11-29T21-39-53-4e3c92ea','end','tikv2 started. Proven: not violated','tikv2 started. Proven: not violated',NULL,NULL,NULL,'2026-11-29T21:39:53.550Z','2026-11-29T21:39:53.550Z',NULL,NULL,0,0,'{"outcome":"resolved","resolution":"proven"}','4afd388b32f5252e39371d4dd2ca1b3c1803f16f038aee4a290d5e2978b19211');
INSERT INTO agent_log_entries VALUES(36,'2026-11-29T21-39-53-22d3ff04','verify','unverifiable: no monitor has ever looked at this cluster','unverifiable: no monitor has ever looked at this cluster',NULL,NULL,NULL,'2026-11-29T21:39:53.605Z','2026-11-29T21:39:53.605Z',NULL,NULL,0,0,'{"state":"unverifiable"}','634ec67330cb1e9811f8c07683ab1694e3a698742f310a21283e14ef16a7739e');
INSERT INTO agent_log_entries VALUES(37,'2026-11-29T21-39-53-22d3ff04','end','interrupted: SIGTERM','interrupted: SIGTERM',NULL,NULL,NULL,'2026-11-29T21:39:53.605Z','2026-11-29T21:39:53.605Z',NULL,NULL,0,0,'{"outcome":"interrupted","resolution":null}','30dcfed039e29fdb8d7e6b5b0ad196e3287b74627e1f801d69c34df877d0f8f6');
INSERT INTO agent_log_entries VALUES(38,'2026-11-29T21-39-53-d3caec9e','reasoning','I cannot.','I cannot.',NULL,NULL,NULL,'2026-11-29T21:39:53.639Z','2026-11-29T21:39:53.639Z',NULL,NULL,0,0,NULL,'a944258777b80be59f7868ec12443e5053fa9a54aae3ffcc02b6a44ce4027236');
INSERT INTO agent_log_entries VALUES(39,'2026-11-29T21-39-53-d3caec9e','end','no use: I cannot','no use: I cannot',NULL,NULL,NULL,'2026-11-29T21:39:53.643Z','2026-11-29T21:39:53.643Z',NULL,NULL,0,0,'{"outcome":"escalated","resolution":null}','b8979ae96717a259658c28c03fdb62ac2114a53eb65fdfdcf842b23aeed420a8');
INSERT INTO agent_log_entries VALUES(40,'2026-11-29T21-39-53-4356d34d','end','the model cannot go on','the model cannot go on',NULL,NULL,NULL,'2026-11-29T21:39:53.720Z','2026-11-29T21:39:53.720Z',NULL,NULL,0,0,'{"outcome":"failed","resolution":null}','40c15514c3d102064eb2f6d8cdeca3926b56de47b2fcb4d3246309515438f8fa');
INSERT INTO agent_log_entries VALUES(41,'2026-11-29T21-39-53-13599b17','verify','waiting: the monitor is asked to look','waiting: the monitor is asked to look',NULL,NULL,NULL,'2026-11-29T21:39:53.853Z','2026-11-29T21:39:53.853Z',NULL,NULL,0,0,'{"state":"waiting"}','79cd5d94610467c27a5ff70ed0606913937fecf4138c5dda2cbc8c3aab416cbe');
INSERT INTO agent_log_entries VALUES(42,'2026-11-29T21-39-53-13599b17','verify','external: Alertmanager says that it is resolved','external: Alertmanager says that it is resolved',NULL,NULL,NULL,'2026-11-29T21:39:53.886Z','2026-11-29T21:39:53.886Z',NULL,NULL,0,0,'{"state":"external"}','73d97716624f57ee2dfccc441cd74a601232784df7f75a2948c7d2effbe62322');
INSERT INTO agent_log_entries VALUES(43,'2026-11-29T21-39-53-13599b17','end','External: it is resolved','External: it is resolved',NULL,NULL,NULL,'2026-11-29T21:39:53.887Z','2026-11-29T21:39:53.887Z',NULL,NULL,0,0,'{"outcome":"resolved","resolution":"external"}','e6710bfd412cecc2d9ef77c1dd843f3bb0483f216ae39e1bbd7250099f92ad72');
INSERT INTO agent_log_entries VALUES(44,'2026-11-29T21-39-53-3a4d267b','reasoning','held','held',NULL,NULL,NULL,'2026-11-29T21:39:53.935Z','2026-11-29T21:39:53.935Z',NULL,NULL,0,0,NULL,'5e7c511afee9d49c7bf572e594902ba9ce2bbaf278c59b674c6596b516986435');
INSERT INTO agent_log_entries VALUES(45,'2026-01-30T10-11-12-3fa9c01b','weather','sunny','sunny',NULL,NULL,NULL,'2026-11-29T21:39:53.911Z','2026-11-29 21:39:54',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO agent_log_entries VALUES(46,'2026-01-30T10-11-12-3fa9c01b','tool_result','ok','fine','shell',NULL,0,'2026-11-29T21:39:53.911Z','2026-11-29 21:39:54',NULL,NULL,NULL,NULL,'{"not_shown_to_model":"many","odd":1}',NULL);
CREATE TABLE ticket_events (
    id INTEGER PRIMARY KEY,
    ticket_id INTEGER NOT NULL,
    from_status TEXT,
    to_status TEXT NOT NULL,
    by TEXT NOT NULL,
    why TEXT NOT NULL,
    at TEXT NOT NULL
);
INSERT INTO ticket_events VALUES(1,1,NULL,'open','monitor','tikv2 (127.0.0.1:20161) is down: last heartbeat 9 s ago','2026-11-29T21:39:53.132Z');
INSERT INTO ticket_events VALUES(2,2,NULL,'open','monitor','PD member pd1 does not answer at http://127.0.0.1:2380','2026-11-29T21:39:53.132Z');
INSERT INTO ticket_events VALUES(3,1,'open','acknowledged','agent pid 25639','it took the ticket','2026-11-29T21:39:53.149Z');
INSERT INTO ticket_events VALUES(4,1,'acknowledged','resolved','monitor','proven: not violated for 0.0 s: tikv2 is up, last heartbeat 0 s ago','2026-11-29T21:39:53.527Z');
INSERT INTO ticket_events VALUES(5,2,'open','open','kim','held','2026-11-29T21:39:53.565Z');
INSERT INTO ticket_events VALUES(6,2,'open','open','kim','no longer held','2026-11-29T21:39:53.574Z');
INSERT INTO ticket_events VALUES(7,2,'open','acknowledged','agent pid 25639','it took the ticket','2026-11-29T21:39:53.584Z');
INSERT INTO ticket_events VALUES(8,2,'acknowledged','open','agent','interrupted: SIGTERM','2026-11-29T21:39:53.615Z');
INSERT INTO ticket_events VALUES(9,2,'open','acknowledged','agent pid 25639','it took the ticket','2026-11-29T21:39:53.623Z');
INSERT INTO ticket_events VALUES(10,2,'acknowledged','escalated','agent','gave up','2026-11-29T21:39:53.652Z');
INSERT INTO ticket_events VALUES(11,2,'escalated','escalated','kim','held','2026-11-29T21:39:53.662Z');
INSERT INTO ticket_events VALUES(12,2,'escalated','escalated','kim','no longer held','2026-11-29T21:39:53.670Z');
INSERT INTO ticket_events VALUES(13,2,'escalated','open','kim','released to agents','2026-11-29T21:39:53.670Z');
INSERT INTO ticket_events VALUES(14,2,'open','resolved','kim','human: a person resolved it','2026-11-29T21:39:53.678Z');
INSERT INTO ticket_events VALUES(15,2,'resolved','open','kim','a person reopened it','2026-11-29T21:39:53.691Z');
INSERT INTO ticket_events VALUES(16,2,'open','acknowledged','agent pid 25639','it took the ticket','2026-11-29T21:39:53.703Z');
INSERT INTO ticket_events VALUES(17,2,'acknowledged','escalated','agent','gave up','2026-11-29T21:39:53.728Z');
INSERT INTO ticket_events VALUES(18,2,'escalated','open','kim','a person reopened it','2026-11-29T21:39:53.736Z');
INSERT INTO ticket_events VALUES(19,2,'open','resolved','monitor','cleared: not violated for 0 s: PD member pd1 does not answer at http://127.0.0.1:2380','2026-11-29T21:39:53.744Z');
INSERT INTO ticket_events VALUES(20,3,NULL,'open','monitor','tikv3 (127.0.0.1:20162) is disconnected: last heartbeat 30 s ago','2026-11-29T21:39:53.744Z');
INSERT INTO ticket_events VALUES(21,3,'open','resolved','monitor','cleared: not violated for 0 s: tikv3 is up, last heartbeat 0 s ago','2026-11-29T21:39:53.765Z');
INSERT INTO ticket_events VALUES(22,3,'resolved','open','monitor','came back: tikv3 (127.0.0.1:20162) is down: last heartbeat 40 s ago','2026-11-29T21:39:53.791Z');
INSERT INTO ticket_events VALUES(23,4,NULL,'open','monitor','the queue is full','2026-11-29T21:39:53.808Z');
INSERT INTO ticket_events VALUES(24,4,'open','acknowledged','agent pid 25639','it took the ticket','2026-11-29T21:39:53.830Z');
INSERT INTO ticket_events VALUES(25,4,'acknowledged','resolved','monitor','external: Alertmanager says that it is resolved','2026-11-29T21:39:53.870Z');
INSERT INTO ticket_events VALUES(26,5,NULL,'open','kim','opened by hand','2026-11-29T21:39:53.897Z');
INSERT INTO ticket_events VALUES(27,5,'open','acknowledged','agent pid 25639','it took the ticket','2026-11-29T21:39:53.911Z');
INSERT INTO ticket_events VALUES(28,6,'diagnosed','diagnosed','adoption','held, with nobody working on it: waits for a person','2026-11-29T21:39:53.911Z');
CREATE TABLE session_output (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    stream TEXT NOT NULL,
    text TEXT NOT NULL,
    at TEXT NOT NULL
);
INSERT INTO session_output VALUES(1,'2026-11-29T21-39-53-4e3c92ea','c1',0,'stdout',replace('tikv1 up\n','\n',char(10)),'2026-11-29T21:39:53.197Z');
INSERT INTO session_output VALUES(2,'2026-11-29T21-39-53-4e3c92ea','c1',1,'stdout',replace('tikv2 down\n','\n',char(10)),'2026-11-29T21:39:53.197Z');
CREATE TABLE invariant_states (
    cluster_id TEXT NOT NULL,
    violation_key TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    boot TEXT NOT NULL,
    observed_ms INTEGER NOT NULL,
    clear_since_ms INTEGER,
    violated_since_ms INTEGER,
    violated_since TEXT,
    PRIMARY KEY (cluster_id, violation_key)
) WITHOUT ROWID;
INSERT INTO invariant_states VALUES('7001','alert:c3a5','clear','Alertmanager says that it is resolved','00000000-0000-0000-0000-000000000000',1873378,1873378,NULL,NULL);
INSERT INTO invariant_states VALUES('7001','pd_member_down:pd1','clear','PD member pd1 does not answer at http://127.0.0.1:2380','00000000-0000-0000-0000-000000000000',1873212,1873212,NULL,NULL);
INSERT INTO invariant_states VALUES('7001','store_down:2','clear','tikv2 is up, last heartbeat 0 s ago','00000000-0000-0000-0000-000000000000',1863005,1863005,NULL,NULL);
INSERT INTO invariant_states VALUES('7001','store_down:3','violated','tikv3 (127.0.0.1:20162) is down: last heartbeat 40 s ago','00000000-0000-0000-0000-000000000000',1873279,NULL,1873279,'2026-11-29T21:39:53.790Z');
CREATE TABLE verifications (
    id INTEGER PRIMARY KEY,
    ticket_id INTEGER NOT NULL,
    session_id TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    detail TEXT NOT NULL DEFAULT '',
    boot TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    hold_ms INTEGER,
    deadline_ms INTEGER,
    requested_at TEXT NOT NULL,
    decided_at TEXT
);
INSERT INTO verifications VALUES(1,1,'2026-11-29T21-39-53-4e3c92ea','failed','tikv2 (127.0.0.1:20161) is down: last heartbeat 9 s ago','00000000-0000-0000-0000-000000000000',1852913,0,1855934,'2026-11-29T21:39:53.445Z','2026-11-29T21:39:53.483Z');
INSERT INTO verifications VALUES(2,1,'2026-11-29T21-39-53-4e3c92ea','proven','not violated for 0.0 s: tikv2 is up, last heartbeat 0 s ago','00000000-0000-0000-0000-000000000000',1852973,0,1855995,'2026-11-29T21:39:53.504Z','2026-11-29T21:39:53.527Z');
INSERT INTO verifications VALUES(3,4,'2026-11-29T21-39-53-13599b17','external','Alertmanager says that it is resolved','00000000-0000-0000-0000-000000000000',1853308,0,2456338,'2026-11-29T21:39:53.839Z','2026-11-29T21:39:53.870Z');
CREATE TABLE monitor_heartbeats (
    cluster_id TEXT PRIMARY KEY NOT NULL,
    holder TEXT NOT NULL,
    boot TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    at TEXT NOT NULL,
    interval_ms INTEGER NOT NULL,
    checks INTEGER NOT NULL,
    ok INTEGER NOT NULL,
    detail TEXT NOT NULL,
    place TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO monitor_heartbeats VALUES('7001','00000000-0000-0000-0000-000000000000/25639/185254','00000000-0000-0000-0000-000000000000',1853338,'2026-11-29T21:39:53.870Z',1000,9,1,'','http://127.0.0.1:1');
CREATE TABLE samples (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    at TEXT NOT NULL,
    snapshot TEXT NOT NULL
);
CREATE TABLE faults (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    by TEXT NOT NULL
);
INSERT INTO faults VALUES(1,'7001','2026-11-29T21:39:53.124Z','kill','tikv2','the demo');
CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    session_id TEXT NOT NULL,
    command TEXT NOT NULL,
    by TEXT NOT NULL,
    at TEXT NOT NULL,
    taken_at TEXT
);
CREATE TABLE spending (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    session_id TEXT NOT NULL,
    usd REAL NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0,
    what TEXT NOT NULL DEFAULT 'turn',
    model TEXT,
    tokens INTEGER
);
CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    cluster_id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    ends_at TEXT,
    state TEXT NOT NULL,
    name TEXT NOT NULL,
    severity TEXT NOT NULL,
    summary TEXT NOT NULL,
    group_key TEXT NOT NULL,
    labels TEXT NOT NULL,
    context TEXT NOT NULL,
    notified INTEGER NOT NULL DEFAULT 1,
    first_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    boot TEXT NOT NULL,
    resolved_ms INTEGER,
    UNIQUE (cluster_id, fingerprint, starts_at)
);
CREATE TABLE agents (
    holder TEXT PRIMARY KEY NOT NULL,
    boot TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    at TEXT NOT NULL,
    model TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE told (
    cluster_id TEXT PRIMARY KEY NOT NULL,
    event_id INTEGER NOT NULL,
    entry_id INTEGER NOT NULL
) WITHOUT ROWID;
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('tickets',6);
INSERT INTO sqlite_sequence VALUES('agent_sessions',7);
INSERT INTO sqlite_sequence VALUES('agent_log_entries',46);
CREATE INDEX idx_tickets_open_violation ON tickets(violation_key) WHERE status != 'resolved';
CREATE INDEX idx_tickets_violation_time ON tickets(violation_key, resolved_at);
CREATE UNIQUE INDEX idx_tickets_live ON tickets(live_key) WHERE live_key IS NOT NULL;
CREATE INDEX idx_tickets_batch ON tickets(batch_key) WHERE batch_key IS NOT NULL;
CREATE INDEX idx_agent_sessions_ticket ON agent_sessions(ticket_id);
CREATE INDEX idx_agent_sessions_status ON agent_sessions(status);
CREATE INDEX idx_agent_log_entries_session ON agent_log_entries(session_id);
CREATE INDEX idx_ticket_events_ticket ON ticket_events(ticket_id);
CREATE INDEX idx_session_output_call ON session_output(session_id, call_id);
CREATE INDEX idx_verifications_waiting ON verifications(ticket_id) WHERE state = 'waiting';
CREATE INDEX idx_samples_cluster ON samples(cluster_id, id);
CREATE INDEX idx_commands_waiting ON commands(session_id) WHERE taken_at IS NULL;
CREATE INDEX idx_spending_day ON spending(day);
CREATE INDEX idx_spending_session ON spending(session_id);
CREATE INDEX idx_alerts_firing ON alerts(cluster_id) WHERE state = 'firing';
CREATE TRIGGER tickets_updated_at AFTER UPDATE ON tickets BEGIN
    UPDATE tickets SET updated_at = CURRENT_TIMESTAMP WHERE id = NEW.id;
END;
COMMIT;
