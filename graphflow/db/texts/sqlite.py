"""Written by ``python -m graphflow.db.statements``: the SQL of the store for sqlite."""

TEXTS = (
{'all_graphs': 'SELECT gf_graphs.fingerprint, gf_graphs.outline \nFROM gf_graphs ORDER BY gf_graphs.fingerprint',
 'all_media': 'SELECT gf_media.sha256 \nFROM gf_media ORDER BY gf_media.sha256',
 'all_memories': 'SELECT gf_memories.fact, gf_memories.seal, gf_memories.memory_id, gf_memories.user_id, '
                 'gf_memories.memory, gf_memories.topics, gf_memories.version, gf_memories.run_id, '
                 'gf_memories.message_id, gf_memories.created_at, gf_memories.updated_at \n'
                 'FROM gf_memories ORDER BY gf_memories.ordinal',
 'all_rows': {'gf_runs': 'SELECT gf_runs.ordinal, gf_runs.run_id, gf_runs.session, gf_runs.ns, gf_runs.number, '
                         'gf_runs.status, gf_runs.parent_run_id, gf_runs.component_id, gf_runs.user_id, gf_runs.input, '
                         'gf_runs.output, gf_runs.first_message, gf_runs.last_message, gf_runs.first_seq, '
                         'gf_runs.last_seq, gf_runs.fingerprint, gf_runs.idempotency_key, gf_runs.cancel_requested, '
                         'gf_runs.error, gf_runs.metrics, gf_runs.sha256, gf_runs.created_at, gf_runs.ended_at, '
                         'gf_runs.seal \n'
                         'FROM gf_runs \n'
                         'WHERE gf_runs.session = :session ORDER BY gf_runs.ordinal',
              'gf_checkpoints': 'SELECT gf_checkpoints.session, gf_checkpoints.ns, gf_checkpoints.seq, '
                                'gf_checkpoints.run, gf_checkpoints.base, gf_checkpoints.log_head, '
                                'gf_checkpoints.epoch, gf_checkpoints.frontier, gf_checkpoints.delta, '
                                'gf_checkpoints.snapshot, gf_checkpoints.sha256, gf_checkpoints.created_at \n'
                                'FROM gf_checkpoints \n'
                                'WHERE gf_checkpoints.session = :session ORDER BY gf_checkpoints.session, '
                                'gf_checkpoints.ns, gf_checkpoints.seq',
              'gf_tasks': 'SELECT gf_tasks.session, gf_tasks.ns, gf_tasks.task_id, gf_tasks.kind, gf_tasks.name, '
                          'gf_tasks.nth, gf_tasks.origin, gf_tasks.node, gf_tasks.value, gf_tasks.sha256 \n'
                          'FROM gf_tasks \n'
                          'WHERE gf_tasks.session = :session ORDER BY gf_tasks.session, gf_tasks.ns, gf_tasks.task_id, '
                          'gf_tasks.kind, gf_tasks.name, gf_tasks.nth',
              'gf_messages': 'SELECT gf_messages.session, gf_messages.ns, gf_messages.seq, gf_messages.run, '
                             'gf_messages.role, gf_messages.body, gf_messages.sha256 \n'
                             'FROM gf_messages \n'
                             'WHERE gf_messages.session = :session ORDER BY gf_messages.session, gf_messages.ns, '
                             'gf_messages.seq',
              'gf_summaries': 'SELECT gf_summaries.session, gf_summaries.ns, gf_summaries.upto_seq, gf_summaries.run, '
                              'gf_summaries.body, gf_summaries.sha256, gf_summaries.created_at \n'
                              'FROM gf_summaries \n'
                              'WHERE gf_summaries.session = :session ORDER BY gf_summaries.session, gf_summaries.ns, '
                              'gf_summaries.upto_seq'},
 'asked_to_stop': 'SELECT gf_sessions.session_id, (SELECT gf_runs.run_id \n'
                  'FROM gf_runs \n'
                  "WHERE gf_runs.session = gf_sessions.ordinal AND gf_runs.ns = '' AND gf_runs.number = (SELECT "
                  'newest.number \n'
                  'FROM gf_runs AS newest \n'
                  "WHERE newest.session = gf_sessions.ordinal AND newest.ns = '' ORDER BY newest.number DESC\n"
                  " LIMIT 1 OFFSET 0) AND gf_runs.status = 'running' AND gf_runs.cancel_requested IS NOT NULL) AS "
                  'anon_1 \n'
                  'FROM gf_sessions \n'
                  'WHERE gf_sessions.session_id IN (SELECT anon_2.value \n'
                  'FROM json_each(:held) AS anon_2) AND gf_sessions.lease_owner = :me',
 'base_of': 'SELECT gf_checkpoints.base \n'
            'FROM gf_checkpoints \n'
            'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq = :seq',
 'chain': 'SELECT gf_checkpoints.seq, gf_checkpoints.base, gf_checkpoints.log_head, gf_checkpoints.epoch, '
          'gf_checkpoints.frontier, gf_checkpoints.delta, gf_checkpoints.snapshot, gf_checkpoints.created_at, '
          'gf_checkpoints.sha256, gf_checkpoints.run \n'
          'FROM gf_checkpoints \n'
          'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq BETWEEN :low AND '
          ':high ORDER BY gf_checkpoints.seq',
 'chain_above': 'SELECT gf_checkpoints.seq, gf_checkpoints.log_head, gf_checkpoints.epoch, gf_checkpoints.frontier, '
                'gf_checkpoints.delta, gf_checkpoints.snapshot, gf_checkpoints.created_at, gf_checkpoints.sha256 \n'
                'FROM gf_checkpoints \n'
                'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq >= :low '
                'AND gf_checkpoints.base = :base ORDER BY gf_checkpoints.seq',
 'change_memory': 'UPDATE gf_memories SET memory=:new_memory, topics=:new_topics, version=(gf_memories.version + 1), '
                  'fact=:new_fact, run_id=:new_run_id, message_id=:new_message_id, updated_at=:new_updated_at, '
                  'seal=:new_seal WHERE gf_memories.memory_id = :memory_id AND gf_memories.user_id = :user_id AND '
                  'gf_memories.version = :version RETURNING ordinal',
 'checkpoint_facts': 'SELECT gf_checkpoints.base, gf_checkpoints.created_at, gf_checkpoints.run \n'
                     'FROM gf_checkpoints \n'
                     'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq = '
                     ':seq',
 'checkpoints_below': 'SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(length(CAST(gf_checkpoints.frontier AS '
                      'BLOB)), 0) + coalesce(length(CAST(gf_checkpoints.delta AS BLOB)), 0) + '
                      'coalesce(length(CAST(gf_checkpoints.snapshot AS BLOB)), 0)), 0) AS coalesce_1 \n'
                      'FROM gf_checkpoints \n'
                      'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq < '
                      ':low',
 'clear_index': ['DELETE FROM gf_memory_index WHERE gf_memory_index.owner = :owner',
                 'DELETE FROM gf_memory_terms WHERE gf_memory_terms.owner = :owner'],
 'close_run': 'UPDATE gf_runs SET status=?, last_message=?, last_seq=?, error=?, metrics=?, sha256=?, ended_at=? WHERE '
              'gf_runs.run_id = ? AND gf_runs.session = ?',
 'columns': {'gf_sessions': ('ordinal',
                             'session_id',
                             'session_type',
                             'user_id',
                             'component_id',
                             'name',
                             'metadata',
                             'status',
                             'head',
                             'epoch',
                             'lease_owner',
                             'lease_until',
                             'created_at',
                             'updated_at',
                             'seal',
                             'time_seal'),
             'gf_runs': ('ordinal',
                         'run_id',
                         'session',
                         'ns',
                         'number',
                         'status',
                         'parent_run_id',
                         'component_id',
                         'user_id',
                         'input',
                         'output',
                         'first_message',
                         'last_message',
                         'first_seq',
                         'last_seq',
                         'fingerprint',
                         'idempotency_key',
                         'cancel_requested',
                         'error',
                         'metrics',
                         'sha256',
                         'created_at',
                         'ended_at',
                         'seal'),
             'gf_checkpoints': ('session',
                                'ns',
                                'seq',
                                'run',
                                'base',
                                'log_head',
                                'epoch',
                                'frontier',
                                'delta',
                                'snapshot',
                                'sha256',
                                'created_at'),
             'gf_tasks': ('session', 'ns', 'task_id', 'kind', 'name', 'nth', 'origin', 'node', 'value', 'sha256'),
             'gf_messages': ('session', 'ns', 'seq', 'run', 'role', 'body', 'sha256'),
             'gf_summaries': ('session', 'ns', 'upto_seq', 'run', 'body', 'sha256', 'created_at'),
             'gf_media': ('sha256', 'media_type', 'data')},
 'copy_rows': {'gf_checkpoints': 'INSERT INTO gf_checkpoints (session, ns, seq, run, base, log_head, epoch, frontier, '
                                 'delta, snapshot, sha256, created_at) VALUES (:session, :ns, :seq, :run, :base, '
                                 ':log_head, :epoch, :frontier, :delta, :snapshot, :sha256, :created_at)',
               'gf_tasks': 'INSERT INTO gf_tasks (session, ns, task_id, kind, name, nth, origin, node, value, sha256) '
                           'VALUES (:session, :ns, :task_id, :kind, :name, :nth, :origin, :node, :value, :sha256)',
               'gf_messages': 'INSERT INTO gf_messages (session, ns, seq, run, role, body, sha256) VALUES (:session, '
                              ':ns, :seq, :run, :role, :body, :sha256)',
               'gf_summaries': 'INSERT INTO gf_summaries (session, ns, upto_seq, run, body, sha256, created_at) VALUES '
                               '(:session, :ns, :upto_seq, :run, :body, :sha256, :created_at)'},
 'copy_run': 'INSERT INTO gf_runs (run_id, session, ns, number, status, parent_run_id, component_id, user_id, input, '
             'output, first_message, last_message, first_seq, last_seq, fingerprint, idempotency_key, '
             'cancel_requested, error, metrics, sha256, created_at, ended_at, seal) VALUES (:run_id, :session, :ns, '
             ':number, :status, :parent_run_id, :component_id, :user_id, :input, :output, :first_message, '
             ':last_message, :first_seq, :last_seq, :fingerprint, :idempotency_key, :cancel_requested, :error, '
             ':metrics, :sha256, :created_at, :ended_at, :seal) ON CONFLICT DO NOTHING RETURNING ordinal',
 'copy_session': 'INSERT INTO gf_sessions (session_id, session_type, user_id, component_id, name, metadata, status, '
                 'head, epoch, lease_owner, lease_until, created_at, updated_at, seal, time_seal) VALUES (:session_id, '
                 ':session_type, :user_id, :component_id, :name, :metadata, :status, :head, :epoch, :lease_owner, '
                 ':lease_until, :created_at, :updated_at, :seal, :time_seal) ON CONFLICT DO NOTHING RETURNING ordinal',
 'count_memories': 'SELECT count(*) AS count_1 \n'
                   'FROM (SELECT gf_memories.ordinal AS ordinal \n'
                   'FROM gf_memories \n'
                   'WHERE gf_memories.user_id = :user_id\n'
                   ' LIMIT :count OFFSET 0) AS anon_1',
 'count_places': 'SELECT count(*) AS count_1 \n'
                 'FROM (SELECT gf_memory_terms.place AS place \n'
                 'FROM gf_memory_terms \n'
                 'WHERE gf_memory_terms.owner = :owner AND gf_memory_terms.term = :term\n'
                 ' LIMIT :count OFFSET 0) AS anon_1',
 'create_indexes': ['CREATE INDEX IF NOT EXISTS gf_media_uses_session ON gf_media_uses (session)',
                    'CREATE INDEX IF NOT EXISTS gf_memories_user ON gf_memories (user_id, updated_at)',
                    "CREATE UNIQUE INDEX IF NOT EXISTS gf_runs_idempotency ON gf_runs (coalesce(component_id, ''), "
                    "coalesce(user_id, ''), idempotency_key) WHERE idempotency_key IS NOT NULL",
                    'CREATE INDEX IF NOT EXISTS gf_sessions_created ON gf_sessions (created_at)',
                    'CREATE INDEX IF NOT EXISTS gf_sessions_updated ON gf_sessions (updated_at)',
                    'CREATE INDEX IF NOT EXISTS gf_sessions_user ON gf_sessions (user_id, created_at)'],
 'create_memory_index': ['\n'
                         'CREATE TABLE IF NOT EXISTS gf_memory_index (\n'
                         '\towner BIGINT NOT NULL, \n'
                         '\tplace BIGINT NOT NULL, \n'
                         '\tmemory BIGINT NOT NULL, \n'
                         '\tspeaker TEXT, \n'
                         '\ttimely BIGINT NOT NULL, \n'
                         '\tterms TEXT NOT NULL, \n'
                         '\tPRIMARY KEY (owner, place), \n'
                         '\tUNIQUE (memory)\n'
                         ')\n'
                         '\n',
                         '\n'
                         'CREATE TABLE IF NOT EXISTS gf_memory_terms (\n'
                         '\towner BIGINT NOT NULL, \n'
                         '\tterm TEXT NOT NULL, \n'
                         '\tplace BIGINT NOT NULL, \n'
                         '\tPRIMARY KEY (owner, term, place)\n'
                         ')\n'
                         ' WITHOUT ROWID\n'
                         '\n'],
 'create_schema_table': '\n'
                        'CREATE TABLE IF NOT EXISTS gf_schema (\n'
                        '\tversion INTEGER NOT NULL, \n'
                        '\tapplied_at BIGINT NOT NULL, \n'
                        '\tPRIMARY KEY (version)\n'
                        ')\n'
                        '\n',
 'create_tables': [('\n'
                    'CREATE TABLE IF NOT EXISTS gf_checkpoints (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT NOT NULL, \n'
                    '\tseq BIGINT NOT NULL, \n'
                    '\trun BIGINT, \n'
                    '\tbase BIGINT NOT NULL, \n'
                    '\tlog_head BIGINT NOT NULL, \n'
                    '\tepoch BIGINT NOT NULL, \n'
                    '\tfrontier TEXT, \n'
                    '\tdelta TEXT, \n'
                    '\tsnapshot TEXT, \n'
                    '\tsha256 BLOB NOT NULL, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, seq)\n'
                    ')\n'
                    ' WITHOUT ROWID\n'
                    '\n',
                    'SELECT * \nFROM gf_checkpoints \nWHERE 0 = 1',
                    {'session': 'ALTER TABLE gf_checkpoints ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_checkpoints ADD COLUMN ns TEXT NOT NULL',
                     'seq': 'ALTER TABLE gf_checkpoints ADD COLUMN seq BIGINT NOT NULL',
                     'run': 'ALTER TABLE gf_checkpoints ADD COLUMN run BIGINT',
                     'base': 'ALTER TABLE gf_checkpoints ADD COLUMN base BIGINT NOT NULL',
                     'log_head': 'ALTER TABLE gf_checkpoints ADD COLUMN log_head BIGINT NOT NULL',
                     'epoch': 'ALTER TABLE gf_checkpoints ADD COLUMN epoch BIGINT NOT NULL',
                     'frontier': 'ALTER TABLE gf_checkpoints ADD COLUMN frontier TEXT',
                     'delta': 'ALTER TABLE gf_checkpoints ADD COLUMN delta TEXT',
                     'snapshot': 'ALTER TABLE gf_checkpoints ADD COLUMN snapshot TEXT',
                     'sha256': 'ALTER TABLE gf_checkpoints ADD COLUMN sha256 BLOB NOT NULL',
                     'created_at': 'ALTER TABLE gf_checkpoints ADD COLUMN created_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_graphs (\n'
                    '\tfingerprint TEXT NOT NULL, \n'
                    '\toutline TEXT NOT NULL, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (fingerprint)\n'
                    ')\n'
                    ' WITHOUT ROWID\n'
                    '\n',
                    'SELECT * \nFROM gf_graphs \nWHERE 0 = 1',
                    {'fingerprint': 'ALTER TABLE gf_graphs ADD COLUMN fingerprint TEXT NOT NULL',
                     'outline': 'ALTER TABLE gf_graphs ADD COLUMN outline TEXT NOT NULL',
                     'created_at': 'ALTER TABLE gf_graphs ADD COLUMN created_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_media (\n'
                    '\tsha256 BLOB NOT NULL, \n'
                    '\tmedia_type TEXT NOT NULL, \n'
                    '\tdata BLOB NOT NULL, \n'
                    '\tPRIMARY KEY (sha256)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_media \nWHERE 0 = 1',
                    {'sha256': 'ALTER TABLE gf_media ADD COLUMN sha256 BLOB NOT NULL',
                     'media_type': 'ALTER TABLE gf_media ADD COLUMN media_type TEXT NOT NULL',
                     'data': 'ALTER TABLE gf_media ADD COLUMN data BLOB NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_media_uses (\n'
                    '\tsha256 BLOB NOT NULL, \n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (sha256, session)\n'
                    ')\n'
                    ' WITHOUT ROWID\n'
                    '\n',
                    'SELECT * \nFROM gf_media_uses \nWHERE 0 = 1',
                    {'sha256': 'ALTER TABLE gf_media_uses ADD COLUMN sha256 BLOB NOT NULL',
                     'session': 'ALTER TABLE gf_media_uses ADD COLUMN session BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_memories (\n'
                    '\tordinal INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, \n'
                    '\tmemory_id TEXT NOT NULL, \n'
                    '\tuser_id TEXT NOT NULL, \n'
                    '\tmemory TEXT NOT NULL, \n'
                    '\ttopics TEXT, \n'
                    '\tversion BIGINT NOT NULL, \n'
                    '\tfact BLOB NOT NULL, \n'
                    '\trun_id TEXT, \n'
                    '\tmessage_id TEXT, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tupdated_at BIGINT NOT NULL, \n'
                    '\tseal BLOB, \n'
                    '\tUNIQUE (memory_id), \n'
                    '\tUNIQUE (fact)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_memories \nWHERE 0 = 1',
                    {'ordinal': 'ALTER TABLE gf_memories ADD COLUMN ordinal INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT',
                     'memory_id': 'ALTER TABLE gf_memories ADD COLUMN memory_id TEXT NOT NULL',
                     'user_id': 'ALTER TABLE gf_memories ADD COLUMN user_id TEXT NOT NULL',
                     'memory': 'ALTER TABLE gf_memories ADD COLUMN memory TEXT NOT NULL',
                     'topics': 'ALTER TABLE gf_memories ADD COLUMN topics TEXT',
                     'version': 'ALTER TABLE gf_memories ADD COLUMN version BIGINT NOT NULL',
                     'fact': 'ALTER TABLE gf_memories ADD COLUMN fact BLOB NOT NULL',
                     'run_id': 'ALTER TABLE gf_memories ADD COLUMN run_id TEXT',
                     'message_id': 'ALTER TABLE gf_memories ADD COLUMN message_id TEXT',
                     'created_at': 'ALTER TABLE gf_memories ADD COLUMN created_at BIGINT NOT NULL',
                     'updated_at': 'ALTER TABLE gf_memories ADD COLUMN updated_at BIGINT NOT NULL',
                     'seal': 'ALTER TABLE gf_memories ADD COLUMN seal BLOB'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_memory_index (\n'
                    '\towner BIGINT NOT NULL, \n'
                    '\tplace BIGINT NOT NULL, \n'
                    '\tmemory BIGINT NOT NULL, \n'
                    '\tspeaker TEXT, \n'
                    '\ttimely BIGINT NOT NULL, \n'
                    '\tterms TEXT NOT NULL, \n'
                    '\tPRIMARY KEY (owner, place), \n'
                    '\tUNIQUE (memory)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_memory_index \nWHERE 0 = 1',
                    {'owner': 'ALTER TABLE gf_memory_index ADD COLUMN owner BIGINT NOT NULL',
                     'place': 'ALTER TABLE gf_memory_index ADD COLUMN place BIGINT NOT NULL',
                     'memory': 'ALTER TABLE gf_memory_index ADD COLUMN memory BIGINT NOT NULL',
                     'speaker': 'ALTER TABLE gf_memory_index ADD COLUMN speaker TEXT',
                     'timely': 'ALTER TABLE gf_memory_index ADD COLUMN timely BIGINT NOT NULL',
                     'terms': 'ALTER TABLE gf_memory_index ADD COLUMN terms TEXT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_memory_terms (\n'
                    '\towner BIGINT NOT NULL, \n'
                    '\tterm TEXT NOT NULL, \n'
                    '\tplace BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (owner, term, place)\n'
                    ')\n'
                    ' WITHOUT ROWID\n'
                    '\n',
                    'SELECT * \nFROM gf_memory_terms \nWHERE 0 = 1',
                    {'owner': 'ALTER TABLE gf_memory_terms ADD COLUMN owner BIGINT NOT NULL',
                     'term': 'ALTER TABLE gf_memory_terms ADD COLUMN term TEXT NOT NULL',
                     'place': 'ALTER TABLE gf_memory_terms ADD COLUMN place BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_messages (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT NOT NULL, \n'
                    '\tseq BIGINT NOT NULL, \n'
                    '\trun BIGINT, \n'
                    '\trole TEXT NOT NULL, \n'
                    '\tbody TEXT NOT NULL, \n'
                    '\tsha256 BLOB NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, seq)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_messages \nWHERE 0 = 1',
                    {'session': 'ALTER TABLE gf_messages ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_messages ADD COLUMN ns TEXT NOT NULL',
                     'seq': 'ALTER TABLE gf_messages ADD COLUMN seq BIGINT NOT NULL',
                     'run': 'ALTER TABLE gf_messages ADD COLUMN run BIGINT',
                     'role': 'ALTER TABLE gf_messages ADD COLUMN role TEXT NOT NULL',
                     'body': 'ALTER TABLE gf_messages ADD COLUMN body TEXT NOT NULL',
                     'sha256': 'ALTER TABLE gf_messages ADD COLUMN sha256 BLOB NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_pruned (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT NOT NULL, \n'
                    '\tfirst BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns)\n'
                    ')\n'
                    ' WITHOUT ROWID\n'
                    '\n',
                    'SELECT * \nFROM gf_pruned \nWHERE 0 = 1',
                    {'session': 'ALTER TABLE gf_pruned ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_pruned ADD COLUMN ns TEXT NOT NULL',
                     'first': 'ALTER TABLE gf_pruned ADD COLUMN first BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_runs (\n'
                    '\tordinal INTEGER NOT NULL, \n'
                    '\trun_id TEXT NOT NULL, \n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT NOT NULL, \n'
                    '\tnumber BIGINT NOT NULL, \n'
                    '\tstatus TEXT NOT NULL, \n'
                    '\tparent_run_id TEXT, \n'
                    '\tcomponent_id TEXT, \n'
                    '\tuser_id TEXT, \n'
                    '\tinput TEXT, \n'
                    '\toutput TEXT, \n'
                    '\tfirst_message BIGINT NOT NULL, \n'
                    '\tlast_message BIGINT, \n'
                    '\tfirst_seq BIGINT, \n'
                    '\tlast_seq BIGINT, \n'
                    '\tfingerprint TEXT, \n'
                    '\tidempotency_key TEXT, \n'
                    '\tcancel_requested BIGINT, \n'
                    '\terror TEXT, \n'
                    '\tmetrics TEXT, \n'
                    '\tsha256 BLOB, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tended_at BIGINT, \n'
                    '\tseal BLOB, \n'
                    '\tPRIMARY KEY (ordinal), \n'
                    '\tCONSTRAINT gf_runs_number UNIQUE (session, ns, number), \n'
                    '\tUNIQUE (run_id)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_runs \nWHERE 0 = 1',
                    {'ordinal': 'ALTER TABLE gf_runs ADD COLUMN ordinal INTEGER NOT NULL',
                     'run_id': 'ALTER TABLE gf_runs ADD COLUMN run_id TEXT NOT NULL',
                     'session': 'ALTER TABLE gf_runs ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_runs ADD COLUMN ns TEXT NOT NULL',
                     'number': 'ALTER TABLE gf_runs ADD COLUMN number BIGINT NOT NULL',
                     'status': 'ALTER TABLE gf_runs ADD COLUMN status TEXT NOT NULL',
                     'parent_run_id': 'ALTER TABLE gf_runs ADD COLUMN parent_run_id TEXT',
                     'component_id': 'ALTER TABLE gf_runs ADD COLUMN component_id TEXT',
                     'user_id': 'ALTER TABLE gf_runs ADD COLUMN user_id TEXT',
                     'input': 'ALTER TABLE gf_runs ADD COLUMN input TEXT',
                     'output': 'ALTER TABLE gf_runs ADD COLUMN output TEXT',
                     'first_message': 'ALTER TABLE gf_runs ADD COLUMN first_message BIGINT NOT NULL',
                     'last_message': 'ALTER TABLE gf_runs ADD COLUMN last_message BIGINT',
                     'first_seq': 'ALTER TABLE gf_runs ADD COLUMN first_seq BIGINT',
                     'last_seq': 'ALTER TABLE gf_runs ADD COLUMN last_seq BIGINT',
                     'fingerprint': 'ALTER TABLE gf_runs ADD COLUMN fingerprint TEXT',
                     'idempotency_key': 'ALTER TABLE gf_runs ADD COLUMN idempotency_key TEXT',
                     'cancel_requested': 'ALTER TABLE gf_runs ADD COLUMN cancel_requested BIGINT',
                     'error': 'ALTER TABLE gf_runs ADD COLUMN error TEXT',
                     'metrics': 'ALTER TABLE gf_runs ADD COLUMN metrics TEXT',
                     'sha256': 'ALTER TABLE gf_runs ADD COLUMN sha256 BLOB',
                     'created_at': 'ALTER TABLE gf_runs ADD COLUMN created_at BIGINT NOT NULL',
                     'ended_at': 'ALTER TABLE gf_runs ADD COLUMN ended_at BIGINT',
                     'seal': 'ALTER TABLE gf_runs ADD COLUMN seal BLOB'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_schema (\n'
                    '\tversion INTEGER NOT NULL, \n'
                    '\tapplied_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (version)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_schema \nWHERE 0 = 1',
                    {'version': 'ALTER TABLE gf_schema ADD COLUMN version INTEGER NOT NULL',
                     'applied_at': 'ALTER TABLE gf_schema ADD COLUMN applied_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_sessions (\n'
                    '\tordinal INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, \n'
                    '\tsession_id TEXT NOT NULL, \n'
                    '\tsession_type TEXT NOT NULL, \n'
                    '\tuser_id TEXT, \n'
                    '\tcomponent_id TEXT, \n'
                    '\tname TEXT, \n'
                    '\tmetadata TEXT, \n'
                    '\tstatus TEXT NOT NULL, \n'
                    '\thead BIGINT NOT NULL, \n'
                    '\tepoch BIGINT NOT NULL, \n'
                    '\tlease_owner TEXT, \n'
                    '\tlease_until BIGINT, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tupdated_at BIGINT NOT NULL, \n'
                    '\tseal BLOB, \n'
                    '\ttime_seal BLOB, \n'
                    '\tUNIQUE (session_id)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_sessions \nWHERE 0 = 1',
                    {'ordinal': 'ALTER TABLE gf_sessions ADD COLUMN ordinal INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT',
                     'session_id': 'ALTER TABLE gf_sessions ADD COLUMN session_id TEXT NOT NULL',
                     'session_type': 'ALTER TABLE gf_sessions ADD COLUMN session_type TEXT NOT NULL',
                     'user_id': 'ALTER TABLE gf_sessions ADD COLUMN user_id TEXT',
                     'component_id': 'ALTER TABLE gf_sessions ADD COLUMN component_id TEXT',
                     'name': 'ALTER TABLE gf_sessions ADD COLUMN name TEXT',
                     'metadata': 'ALTER TABLE gf_sessions ADD COLUMN metadata TEXT',
                     'status': 'ALTER TABLE gf_sessions ADD COLUMN status TEXT NOT NULL',
                     'head': 'ALTER TABLE gf_sessions ADD COLUMN head BIGINT NOT NULL',
                     'epoch': 'ALTER TABLE gf_sessions ADD COLUMN epoch BIGINT NOT NULL',
                     'lease_owner': 'ALTER TABLE gf_sessions ADD COLUMN lease_owner TEXT',
                     'lease_until': 'ALTER TABLE gf_sessions ADD COLUMN lease_until BIGINT',
                     'created_at': 'ALTER TABLE gf_sessions ADD COLUMN created_at BIGINT NOT NULL',
                     'updated_at': 'ALTER TABLE gf_sessions ADD COLUMN updated_at BIGINT NOT NULL',
                     'seal': 'ALTER TABLE gf_sessions ADD COLUMN seal BLOB',
                     'time_seal': 'ALTER TABLE gf_sessions ADD COLUMN time_seal BLOB'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_summaries (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT NOT NULL, \n'
                    '\tupto_seq BIGINT NOT NULL, \n'
                    '\trun BIGINT, \n'
                    '\tbody TEXT NOT NULL, \n'
                    '\tsha256 BLOB NOT NULL, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, upto_seq)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_summaries \nWHERE 0 = 1',
                    {'session': 'ALTER TABLE gf_summaries ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_summaries ADD COLUMN ns TEXT NOT NULL',
                     'upto_seq': 'ALTER TABLE gf_summaries ADD COLUMN upto_seq BIGINT NOT NULL',
                     'run': 'ALTER TABLE gf_summaries ADD COLUMN run BIGINT',
                     'body': 'ALTER TABLE gf_summaries ADD COLUMN body TEXT NOT NULL',
                     'sha256': 'ALTER TABLE gf_summaries ADD COLUMN sha256 BLOB NOT NULL',
                     'created_at': 'ALTER TABLE gf_summaries ADD COLUMN created_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_tasks (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT NOT NULL, \n'
                    '\ttask_id TEXT NOT NULL, \n'
                    '\tkind TEXT NOT NULL, \n'
                    '\tname TEXT NOT NULL, \n'
                    '\tnth BIGINT NOT NULL, \n'
                    '\torigin BIGINT NOT NULL, \n'
                    '\tnode TEXT NOT NULL, \n'
                    '\tvalue TEXT NOT NULL, \n'
                    '\tsha256 BLOB NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, task_id, kind, name, nth)\n'
                    ')\n'
                    ' WITHOUT ROWID\n'
                    '\n',
                    'SELECT * \nFROM gf_tasks \nWHERE 0 = 1',
                    {'session': 'ALTER TABLE gf_tasks ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_tasks ADD COLUMN ns TEXT NOT NULL',
                     'task_id': 'ALTER TABLE gf_tasks ADD COLUMN task_id TEXT NOT NULL',
                     'kind': 'ALTER TABLE gf_tasks ADD COLUMN kind TEXT NOT NULL',
                     'name': 'ALTER TABLE gf_tasks ADD COLUMN name TEXT NOT NULL',
                     'nth': 'ALTER TABLE gf_tasks ADD COLUMN nth BIGINT NOT NULL',
                     'origin': 'ALTER TABLE gf_tasks ADD COLUMN origin BIGINT NOT NULL',
                     'node': 'ALTER TABLE gf_tasks ADD COLUMN node TEXT NOT NULL',
                     'value': 'ALTER TABLE gf_tasks ADD COLUMN value TEXT NOT NULL',
                     'sha256': 'ALTER TABLE gf_tasks ADD COLUMN sha256 BLOB NOT NULL'})],
 'delete_checkpoints_below': 'DELETE FROM gf_checkpoints WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns '
                             '= :ns AND gf_checkpoints.seq < :low',
 'delete_memories': 'DELETE FROM gf_memories WHERE gf_memories.user_id = :user_id',
 'delete_memory': 'DELETE FROM gf_memories WHERE gf_memories.memory_id = :memory_id AND gf_memories.user_id = :user_id '
                  'RETURNING ordinal',
 'delete_session': ['SELECT gf_media.sha256 \n'
                    'FROM gf_media \n'
                    'WHERE gf_media.sha256 IN (SELECT gf_media_uses.sha256 \n'
                    'FROM gf_media_uses \n'
                    'WHERE gf_media_uses.session = :session) ORDER BY gf_media.sha256',
                    'DELETE FROM gf_media WHERE gf_media.sha256 IN (SELECT gf_media_uses.sha256 \n'
                    'FROM gf_media_uses \n'
                    'WHERE gf_media_uses.session = :session) AND NOT (EXISTS (SELECT other.sha256 \n'
                    'FROM gf_media_uses AS other \n'
                    'WHERE other.sha256 = gf_media.sha256 AND other.session != :session))',
                    'DELETE FROM gf_media_uses WHERE gf_media_uses.session = :session',
                    'DELETE FROM gf_tasks WHERE gf_tasks.session = :session',
                    'DELETE FROM gf_checkpoints WHERE gf_checkpoints.session = :session',
                    'DELETE FROM gf_pruned WHERE gf_pruned.session = :session',
                    'DELETE FROM gf_messages WHERE gf_messages.session = :session',
                    'DELETE FROM gf_summaries WHERE gf_summaries.session = :session',
                    'DELETE FROM gf_runs WHERE gf_runs.session = :session',
                    'DELETE FROM gf_sessions WHERE gf_sessions.ordinal = :session'],
 'disused': 'SELECT gf_sessions.ordinal \n'
            'FROM gf_sessions \n'
            "WHERE gf_sessions.ordinal > :after AND (coalesce(:user_id, '') = '' OR gf_sessions.user_id = :user_id) "
            "AND (gf_sessions.status = 'completed' OR gf_sessions.status = 'error' OR gf_sessions.status = "
            "'cancelled') AND gf_sessions.lease_owner IS NULL AND gf_sessions.updated_at < :before ORDER BY "
            'gf_sessions.ordinal\n'
            ' LIMIT :count OFFSET 0',
 'drop_all_tasks': 'DELETE FROM gf_tasks WHERE gf_tasks.session = :session',
 'drop_first': 'DELETE FROM gf_pruned WHERE gf_pruned.session = :session AND gf_pruned.ns = :ns',
 'drop_index': 'DELETE FROM gf_memory_index WHERE gf_memory_index.memory = :memory RETURNING place, terms',
 'drop_lease_index': 'DROP INDEX IF EXISTS gf_sessions_lease',
 'drop_memory': 'DELETE FROM gf_memories WHERE gf_memories.memory_id = :memory_id AND gf_memories.user_id = :user_id '
                'AND gf_memories.version = :version RETURNING ordinal',
 'drop_tasks': 'DELETE FROM gf_tasks WHERE gf_tasks.session = :session AND gf_tasks.ns = :ns',
 'drop_terms': 'DELETE FROM gf_memory_terms WHERE gf_memory_terms.owner = :owner AND gf_memory_terms.place = :place '
               'AND gf_memory_terms.term IN (SELECT anon_1.value \n'
               'FROM json_each(:terms) AS anon_1)',
 'end_all_leases': 'UPDATE gf_sessions SET lease_owner=NULL, lease_until=NULL WHERE gf_sessions.session_id IN (SELECT '
                   'anon_1.value \n'
                   'FROM json_each(:held) AS anon_1) AND gf_sessions.lease_owner = :me',
 'end_lease': 'UPDATE gf_sessions SET lease_owner=NULL, lease_until=NULL WHERE gf_sessions.session_id = :session_id '
              'AND gf_sessions.lease_owner = :me AND gf_sessions.epoch = :taken_under',
 'fence': 'UPDATE gf_sessions SET epoch=(gf_sessions.epoch + 1) WHERE gf_sessions.ordinal = :session',
 'fenced': 'SELECT gf_sessions.ordinal \n'
           'FROM gf_sessions \n'
           'WHERE gf_sessions.session_id = :session_id AND gf_sessions.epoch = :expected_epoch',
 'fenced_alone': 'SELECT gf_sessions.ordinal \n'
                 'FROM gf_sessions \n'
                 'WHERE gf_sessions.session_id = :session_id AND gf_sessions.epoch = :expected_epoch',
 'find_run': 'SELECT gf_runs.ordinal \nFROM gf_runs \nWHERE gf_runs.run_id = :run_id',
 'find_session': 'SELECT gf_sessions.ordinal \nFROM gf_sessions \nWHERE gf_sessions.session_id = :session_id',
 'first_kept': 'SELECT coalesce((SELECT gf_pruned.first \n'
               'FROM gf_pruned \n'
               'WHERE gf_pruned.session = :session AND gf_pruned.ns = :ns), 0) AS coalesce_1, (SELECT '
               'min(gf_checkpoints.seq) AS min_1 \n'
               'FROM gf_checkpoints \n'
               'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns) AS anon_1',
 'first_young': 'SELECT gf_checkpoints.seq \n'
                'FROM gf_checkpoints \n'
                'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.created_at >= '
                ':before ORDER BY gf_checkpoints.seq\n'
                ' LIMIT 1 OFFSET 0',
 'firsts_of_session': 'SELECT gf_pruned.ns, gf_pruned.first \n'
                      'FROM gf_pruned \n'
                      'WHERE gf_pruned.session = :session ORDER BY gf_pruned.ns',
 'get_graph': 'SELECT gf_graphs.outline \nFROM gf_graphs \nWHERE gf_graphs.fingerprint = :fingerprint',
 'get_media': 'SELECT gf_media.data \nFROM gf_media \nWHERE gf_media.sha256 = :sha256',
 'give_up': 'UPDATE gf_sessions SET status=?, head=?, lease_owner=NULL, lease_until=NULL, updated_at=?, time_seal=? '
            'WHERE gf_sessions.ordinal = ? AND max(coalesce((SELECT max(gf_checkpoints.seq) AS max_1 \n'
            'FROM gf_checkpoints \n'
            "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) = "
            '? AND gf_sessions.epoch = ?',
 'hold': 'SELECT gf_sessions.ordinal, max(coalesce((SELECT max(gf_checkpoints.seq) AS max_2 \n'
         'FROM gf_checkpoints \n'
         "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) AS "
         'max_1, gf_sessions.epoch, gf_sessions.user_id, gf_sessions.lease_owner, gf_sessions.lease_until - '
         "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) AS lease_left \n"
         'FROM gf_sessions \n'
         'WHERE gf_sessions.session_id = :session_id',
 'hold_of_user': 'SELECT gf_sessions.ordinal, max(coalesce((SELECT max(gf_checkpoints.seq) AS max_2 \n'
                 'FROM gf_checkpoints \n'
                 "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), "
                 'gf_sessions.head) AS max_1 \n'
                 'FROM gf_sessions \n'
                 'WHERE gf_sessions.session_id = :session_id AND (gf_sessions.user_id IS NULL OR gf_sessions.user_id = '
                 ':user_id)',
 'hold_to_prune': 'SELECT max(coalesce((SELECT max(gf_checkpoints.seq) AS max_2 \n'
                  'FROM gf_checkpoints \n'
                  "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), "
                  'gf_sessions.head) AS max_1, gf_sessions.status, gf_sessions.lease_owner, gf_sessions.session_id \n'
                  'FROM gf_sessions \n'
                  'WHERE gf_sessions.ordinal = :session',
 'index_at': 'SELECT gf_memory_index.place, gf_memory_index.memory, gf_memory_index.speaker, gf_memory_index.timely, '
             'gf_memory_index.terms \n'
             'FROM gf_memory_index \n'
             'WHERE gf_memory_index.owner = :owner AND gf_memory_index.place IN (SELECT CAST(anon_1.value AS BIGINT) '
             'AS value \n'
             'FROM json_each(:places) AS anon_1)',
 'index_of': 'SELECT gf_memory_index.place, gf_memory_index.memory, gf_memory_index.speaker, gf_memory_index.timely, '
             'gf_memory_index.terms \n'
             'FROM gf_memory_index \n'
             'WHERE gf_memory_index.owner = :owner AND gf_memory_index.memory IN (SELECT CAST(anon_1.value AS BIGINT) '
             'AS value \n'
             'FROM json_each(:memories) AS anon_1)',
 'insert_checkpoint': 'INSERT INTO gf_checkpoints (session, ns, seq, run, base, log_head, epoch, frontier, delta, '
                      'snapshot, sha256, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
 'insert_graph': 'INSERT INTO gf_graphs (fingerprint, outline, created_at) VALUES (:fingerprint, :outline, '
                 ':created_at) ON CONFLICT DO NOTHING',
 'insert_index': 'INSERT INTO gf_memory_index (owner, place, memory, speaker, timely, terms) VALUES (:owner, :place, '
                 ':memory, :speaker, :timely, :terms)',
 'insert_media': 'INSERT INTO gf_media (sha256, media_type, data) VALUES (:sha256, :media_type, :data) ON CONFLICT DO '
                 'NOTHING',
 'insert_media_use': 'INSERT INTO gf_media_uses (sha256, session) VALUES (:sha256, :session) ON CONFLICT DO NOTHING',
 'insert_memory': 'INSERT INTO gf_memories (memory_id, user_id, memory, topics, version, fact, run_id, message_id, '
                  'created_at, updated_at, seal) VALUES (:memory_id, :user_id, :memory, :topics, 1, :fact, :run_id, '
                  ':message_id, :created_at, :updated_at, :seal) ON CONFLICT DO NOTHING RETURNING ordinal',
 'insert_message': 'INSERT INTO gf_messages (session, ns, seq, run, role, body, sha256) VALUES (?, ?, ?, ?, ?, ?, ?)',
 'insert_run': 'INSERT INTO gf_runs (run_id, session, ns, number, status, parent_run_id, component_id, user_id, input, '
               'first_message, first_seq, fingerprint, idempotency_key, created_at, seal) VALUES (?, ?, ?, '
               '(coalesce((SELECT max(others.number) AS max_1 \n'
               'FROM gf_runs AS others \n'
               'WHERE others.session = ? AND others.ns = ?), 0) + 1), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO '
               'NOTHING',
 'insert_schema_version': 'INSERT INTO gf_schema (version, applied_at) VALUES (:version, :applied_at)',
 'insert_session': 'INSERT INTO gf_sessions (session_id, session_type, user_id, component_id, status, head, epoch, '
                   'lease_owner, lease_until, created_at, updated_at, seal, time_seal) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '
                   "(CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) + ?), ?, ?, ?, ?) ON CONFLICT DO "
                   'NOTHING',
 'insert_terms': 'INSERT INTO gf_memory_terms (owner, term, place) SELECT CAST(:owner AS BIGINT) AS anon_1, '
                 'anon_2.value, CAST(:place AS BIGINT) AS anon_3 \n'
                 'FROM json_each(:terms) AS anon_2',
 'key_columns': {'gf_runs': ('ordinal',),
                 'gf_checkpoints': ('session', 'ns', 'seq'),
                 'gf_tasks': ('session', 'ns', 'task_id', 'kind', 'name', 'nth'),
                 'gf_messages': ('session', 'ns', 'seq'),
                 'gf_summaries': ('session', 'ns', 'upto_seq')},
 'landed_checkpoint': 'SELECT gf_checkpoints.sha256 \n'
                      'FROM gf_sessions JOIN gf_checkpoints ON gf_checkpoints.session = gf_sessions.ordinal \n'
                      'WHERE gf_sessions.session_id = :session_id AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq = '
                      ':seq',
 'landed_end': 'SELECT gf_runs.status, gf_runs.ended_at \nFROM gf_runs \nWHERE gf_runs.run_id = :run_id',
 'landed_take': 'SELECT gf_sessions.epoch, gf_sessions.updated_at \n'
                'FROM gf_sessions \n'
                'WHERE gf_sessions.session_id = :session_id',
 'last_message': 'SELECT max(gf_messages.seq) AS max_1 \n'
                 'FROM gf_messages \n'
                 'WHERE gf_messages.session = :session AND gf_messages.ns = :ns',
 'last_of_other_run': 'SELECT gf_checkpoints.seq \n'
                      'FROM gf_checkpoints \n'
                      'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND (gf_checkpoints.run IS '
                      'NULL OR gf_checkpoints.run != :run) ORDER BY gf_checkpoints.seq DESC\n'
                      ' LIMIT 1 OFFSET 0',
 'last_old': 'SELECT gf_checkpoints.seq \n'
             'FROM gf_checkpoints \n'
             'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.created_at <= :at '
             'ORDER BY gf_checkpoints.seq DESC\n'
             ' LIMIT 1 OFFSET 0',
 'last_place': 'SELECT max(gf_memory_index.place) AS max_1 \n'
               'FROM gf_memory_index \n'
               'WHERE gf_memory_index.owner = :owner',
 'last_runs': 'SELECT gf_runs.session, gf_runs.ordinal, gf_runs.first_message \n'
              'FROM gf_runs \n'
              'WHERE gf_runs.session = (SELECT gf_sessions.ordinal \n'
              'FROM gf_sessions \n'
              "WHERE gf_sessions.session_id = :session_id) AND gf_runs.ns = '' AND (gf_runs.status = 'completed' OR "
              "gf_runs.status = 'abandoned') AND gf_runs.parent_run_id IS NULL AND gf_runs.first_message < :before "
              'ORDER BY gf_runs.number DESC\n'
              ' LIMIT :count OFFSET 0',
 'last_runs_inside': 'SELECT gf_runs.session, gf_runs.ordinal, gf_runs.first_message \n'
                     'FROM gf_runs \n'
                     'WHERE gf_runs.session = (SELECT gf_sessions.ordinal \n'
                     'FROM gf_sessions \n'
                     'WHERE gf_sessions.session_id = :session_id) AND gf_runs.ns = :ns AND (gf_runs.status = '
                     "'completed' OR gf_runs.status = 'abandoned') AND (gf_runs.parent_run_id IS NULL OR gf_runs.ns != "
                     "'' AND NOT (EXISTS (SELECT 1 \n"
                     'FROM gf_runs AS around \n'
                     'WHERE around.run_id = gf_runs.parent_run_id AND around.session = gf_runs.session AND '
                     "(around.status = 'error' OR around.status = 'cancelled')))) AND gf_runs.first_message < :before "
                     'ORDER BY gf_runs.number DESC\n'
                     ' LIMIT :count OFFSET 0',
 'latest_summary': 'SELECT gf_summaries.upto_seq, gf_summaries.body, gf_summaries.sha256 \n'
                   'FROM gf_sessions JOIN gf_summaries ON gf_summaries.session = gf_sessions.ordinal \n'
                   "WHERE gf_sessions.session_id = :session_id AND (coalesce(:user_id, '') = '' OR gf_sessions.user_id "
                   '= :user_id) AND gf_summaries.ns = :ns ORDER BY gf_summaries.upto_seq DESC\n'
                   ' LIMIT 1 OFFSET 0',
 'load_all_tasks': 'SELECT gf_tasks.ns, gf_tasks.task_id, gf_tasks.node, gf_tasks.kind, gf_tasks.name, gf_tasks.nth, '
                   'gf_tasks.origin, gf_tasks.value, gf_tasks.sha256 \n'
                   'FROM gf_tasks \n'
                   'WHERE gf_tasks.session = :session ORDER BY gf_tasks.ns, gf_tasks.task_id, gf_tasks.kind, '
                   'gf_tasks.name, gf_tasks.nth',
 'load_at': 'SELECT gf_sessions.ordinal, gf_sessions.session_type, gf_sessions.user_id, gf_sessions.component_id AS '
            'made_by, gf_sessions.name, gf_sessions.metadata, gf_sessions.created_at, gf_sessions.seal, '
            'gf_sessions.status, max(coalesce((SELECT max(gf_checkpoints.seq) AS max_1 \n'
            'FROM gf_checkpoints \n'
            "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) AS "
            'head, gf_sessions.epoch, gf_runs.run_id, gf_runs.status AS status_1, gf_runs.first_message, '
            'gf_runs.fingerprint, gf_runs.component_id, gf_runs.metrics, gf_sessions.lease_owner, '
            "gf_sessions.lease_until - CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) AS lease_left, "
            'gf_checkpoints.seq, gf_checkpoints.base \n'
            'FROM gf_sessions LEFT OUTER JOIN gf_checkpoints ON gf_checkpoints.session = gf_sessions.ordinal AND '
            'gf_checkpoints.ns = :ns AND gf_checkpoints.seq = :at LEFT OUTER JOIN gf_runs ON gf_runs.ordinal = '
            'gf_checkpoints.run \n'
            'WHERE gf_sessions.session_id = :session_id AND (gf_sessions.user_id IS NULL OR gf_sessions.user_id = '
            ':user_id)',
 'load_head': 'SELECT gf_sessions.ordinal, gf_sessions.session_type, gf_sessions.user_id, gf_sessions.component_id AS '
              'made_by, gf_sessions.name, gf_sessions.metadata, gf_sessions.created_at, gf_sessions.seal, '
              'gf_sessions.status, max(coalesce((SELECT max(gf_checkpoints.seq) AS max_1 \n'
              'FROM gf_checkpoints \n'
              "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) "
              'AS head, gf_sessions.epoch, gf_runs.run_id, gf_runs.status AS status_1, gf_runs.first_message, '
              'gf_runs.fingerprint, gf_runs.component_id, gf_runs.metrics, gf_sessions.lease_owner, '
              "gf_sessions.lease_until - CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) AS "
              'lease_left, gf_checkpoints.seq, gf_checkpoints.base \n'
              'FROM gf_sessions LEFT OUTER JOIN gf_checkpoints ON gf_checkpoints.session = gf_sessions.ordinal AND '
              'gf_checkpoints.ns = :ns AND gf_checkpoints.seq = max(coalesce((SELECT max(gf_checkpoints.seq) AS '
              'max_2 \n'
              'FROM gf_checkpoints \n'
              "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) "
              'LEFT OUTER JOIN gf_runs ON gf_runs.ordinal = gf_checkpoints.run \n'
              'WHERE gf_sessions.session_id = :session_id AND (gf_sessions.user_id IS NULL OR gf_sessions.user_id = '
              ':user_id)',
 'load_head_as_admin': 'SELECT gf_sessions.ordinal, gf_checkpoints.seq, gf_checkpoints.base \n'
                       'FROM gf_sessions LEFT OUTER JOIN gf_checkpoints ON gf_checkpoints.session = '
                       'gf_sessions.ordinal AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq = max(coalesce((SELECT '
                       'max(gf_checkpoints.seq) AS max_1 \n'
                       'FROM gf_checkpoints \n'
                       "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), "
                       'gf_sessions.head) \n'
                       "WHERE gf_sessions.session_id = :session_id AND (coalesce(:user_id, '') = '' OR "
                       'gf_sessions.user_id = :user_id)',
 'load_nested': 'SELECT gf_sessions.ordinal, gf_sessions.session_type, gf_sessions.user_id, gf_sessions.component_id '
                'AS made_by, gf_sessions.name, gf_sessions.metadata, gf_sessions.created_at, gf_sessions.seal, '
                'gf_sessions.status, max(coalesce((SELECT max(gf_checkpoints.seq) AS max_1 \n'
                'FROM gf_checkpoints \n'
                "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), "
                'gf_sessions.head) AS head, gf_sessions.epoch, gf_runs.run_id, gf_runs.status AS status_1, '
                'gf_runs.first_message, gf_runs.fingerprint, gf_runs.component_id, gf_runs.metrics, '
                "gf_sessions.lease_owner, gf_sessions.lease_until - CAST((julianday('now') - 2440587.5) * "
                '86400000000.0 AS INTEGER) AS lease_left, gf_checkpoints.seq, gf_checkpoints.base \n'
                'FROM gf_sessions LEFT OUTER JOIN gf_checkpoints ON gf_checkpoints.session = gf_sessions.ordinal AND '
                'gf_checkpoints.ns = :ns AND gf_checkpoints.seq = (SELECT max(newest.seq) AS max_2 \n'
                'FROM gf_checkpoints AS newest \n'
                'WHERE newest.session = gf_sessions.ordinal AND newest.ns = :ns) LEFT OUTER JOIN gf_runs ON '
                'gf_runs.ordinal = gf_checkpoints.run \n'
                'WHERE gf_sessions.session_id = :session_id AND (gf_sessions.user_id IS NULL OR gf_sessions.user_id = '
                ':user_id)',
 'load_tasks': 'SELECT gf_tasks.ns, gf_tasks.task_id, gf_tasks.node, gf_tasks.kind, gf_tasks.name, gf_tasks.nth, '
               'gf_tasks.origin, gf_tasks.value, gf_tasks.sha256 \n'
               'FROM gf_tasks \n'
               'WHERE gf_tasks.session = :session AND gf_tasks.ns = :ns ORDER BY gf_tasks.ns, gf_tasks.task_id, '
               'gf_tasks.kind, gf_tasks.name, gf_tasks.nth',
 'lock_user': None,
 'log_head': 'SELECT (SELECT gf_checkpoints.log_head \n'
             'FROM gf_checkpoints \n'
             'WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = :ns ORDER BY '
             'gf_checkpoints.seq DESC\n'
             ' LIMIT 1 OFFSET 0) AS known, (SELECT gf_messages.seq \n'
             'FROM gf_messages \n'
             'WHERE gf_messages.session = gf_sessions.ordinal AND gf_messages.ns = :ns ORDER BY gf_messages.seq DESC\n'
             ' LIMIT 1 OFFSET 0) AS last \n'
             'FROM gf_sessions \n'
             'WHERE gf_sessions.session_id = :session_id',
 'log_of_runs': 'SELECT gf_sessions.ordinal, (SELECT min(anon_2.first_message) AS min_1 \n'
                'FROM (SELECT gf_runs.first_message AS first_message \n'
                'FROM gf_runs \n'
                "WHERE gf_runs.session = gf_sessions.ordinal AND gf_runs.ns = :ns AND (gf_runs.ns != '' OR "
                'gf_runs.parent_run_id IS NULL) ORDER BY gf_runs.number DESC\n'
                ' LIMIT :count OFFSET 0) AS anon_2) AS anon_1, (SELECT gf_checkpoints.log_head \n'
                'FROM gf_checkpoints \n'
                'WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = :ns ORDER BY '
                'gf_checkpoints.seq DESC\n'
                ' LIMIT 1 OFFSET 0) AS known, (SELECT gf_messages.seq \n'
                'FROM gf_messages \n'
                'WHERE gf_messages.session = gf_sessions.ordinal AND gf_messages.ns = :ns ORDER BY gf_messages.seq '
                'DESC\n'
                ' LIMIT 1 OFFSET 0) AS last \n'
                'FROM gf_sessions \n'
                "WHERE gf_sessions.session_id = :session_id AND (coalesce(:user_id, '') = '' OR gf_sessions.user_id = "
                ':user_id)',
 'log_range': 'SELECT gf_messages.seq, gf_messages.role, gf_messages.body, gf_messages.sha256, (SELECT '
              'gf_runs.run_id \n'
              'FROM gf_runs \n'
              'WHERE gf_runs.ordinal = gf_messages.run) AS anon_1, gf_messages.run \n'
              'FROM gf_messages \n'
              'WHERE gf_messages.session = :session AND gf_messages.ns = :ns AND gf_messages.seq BETWEEN :low AND '
              ':high ORDER BY gf_messages.seq',
 'log_since': 'SELECT gf_messages.seq, gf_messages.role, gf_messages.body, gf_messages.sha256, gf_runs.run_id, '
              "gf_messages.run, (gf_runs.status = 'completed' OR gf_runs.status = 'abandoned') AND "
              "(gf_runs.parent_run_id IS NULL OR gf_runs.ns != '' AND NOT (EXISTS (SELECT 1 \n"
              'FROM gf_runs AS around \n'
              'WHERE around.run_id = gf_runs.parent_run_id AND around.session = gf_runs.session AND (around.status = '
              "'error' OR around.status = 'cancelled')))) AND gf_runs.first_message < :before AS anon_1 \n"
              'FROM gf_messages LEFT OUTER JOIN gf_runs ON gf_runs.ordinal = gf_messages.run \n'
              'WHERE gf_messages.session = (SELECT gf_sessions.ordinal \n'
              'FROM gf_sessions \n'
              'WHERE gf_sessions.session_id = :session_id) AND gf_messages.ns = :ns AND gf_messages.seq >= :low AND '
              'gf_messages.seq < :before ORDER BY gf_messages.seq',
 'log_spaces': 'SELECT DISTINCT gf_messages.ns \n'
               'FROM gf_messages \n'
               'WHERE gf_messages.session = :session ORDER BY gf_messages.ns',
 'log_times': 'SELECT gf_checkpoints.seq, coalesce(gf_checkpoints.log_head, 0) AS coalesce_1, '
              'gf_checkpoints.created_at, gf_checkpoints.run \n'
              'FROM gf_checkpoints \n'
              "WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = '' ORDER BY gf_checkpoints.seq",
 'media_used': 'SELECT gf_media_uses.sha256, gf_media.media_type, gf_media.data \n'
               'FROM gf_media_uses LEFT OUTER JOIN gf_media ON gf_media_uses.sha256 = gf_media.sha256 \n'
               'WHERE gf_media_uses.session = :session ORDER BY gf_media_uses.sha256',
 'memories_at': 'SELECT gf_memories.ordinal, gf_memories.memory_id, gf_memories.memory, gf_memories.topics, '
                'gf_memories.user_id, gf_memories.run_id, gf_memories.created_at, gf_memories.updated_at, '
                'gf_memories.message_id, gf_memories.version, gf_memories.seal \n'
                'FROM gf_memories \n'
                'WHERE gf_memories.ordinal IN (SELECT CAST(anon_1.value AS BIGINT) AS value \n'
                'FROM json_each(:ordinals) AS anon_1)',
 'memory_begun': 'SELECT gf_memories.created_at \n'
                 'FROM gf_memories \n'
                 'WHERE gf_memories.memory_id = :memory_id AND gf_memories.user_id = :user_id AND gf_memories.version '
                 '= :version',
 'memory_of_fact': 'SELECT gf_memories.memory_id \nFROM gf_memories \nWHERE gf_memories.fact = :fact',
 'memory_topics': 'SELECT gf_memories.ordinal, gf_memories.topics \n'
                  'FROM gf_memories \n'
                  'WHERE gf_memories.user_id = :user_id AND gf_memories.topics IS NOT NULL',
 'newest_memories': 'SELECT gf_memories.ordinal, gf_memories.memory_id, gf_memories.memory, gf_memories.topics, '
                    'gf_memories.user_id, gf_memories.run_id, gf_memories.created_at, gf_memories.updated_at, '
                    'gf_memories.message_id, gf_memories.version, gf_memories.seal \n'
                    'FROM gf_memories \n'
                    'WHERE gf_memories.user_id = :user_id ORDER BY gf_memories.updated_at DESC, gf_memories.ordinal '
                    'DESC\n'
                    ' LIMIT :count OFFSET 0',
 'next_snapshot': 'SELECT gf_checkpoints.seq \n'
                  'FROM gf_checkpoints \n'
                  'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq >= :low '
                  'AND gf_checkpoints.base = gf_checkpoints.seq ORDER BY gf_checkpoints.seq\n'
                  ' LIMIT 1 OFFSET 0',
 'ordinals_of_user': 'SELECT gf_sessions.ordinal \n'
                     'FROM gf_sessions \n'
                     'WHERE gf_sessions.user_id = :user_id ORDER BY gf_sessions.ordinal',
 'orphans': {'gf_runs': 'SELECT count(*) AS count_1 \n'
                        'FROM gf_runs \n'
                        'WHERE (gf_runs.session NOT IN (SELECT gf_sessions.ordinal \n'
                        'FROM gf_sessions))',
             'gf_checkpoints': 'SELECT count(*) AS count_1 \n'
                               'FROM gf_checkpoints \n'
                               'WHERE (gf_checkpoints.session NOT IN (SELECT gf_sessions.ordinal \n'
                               'FROM gf_sessions))',
             'gf_pruned': 'SELECT count(*) AS count_1 \n'
                          'FROM gf_pruned \n'
                          'WHERE (gf_pruned.session NOT IN (SELECT gf_sessions.ordinal \n'
                          'FROM gf_sessions))',
             'gf_tasks': 'SELECT count(*) AS count_1 \n'
                         'FROM gf_tasks \n'
                         'WHERE (gf_tasks.session NOT IN (SELECT gf_sessions.ordinal \n'
                         'FROM gf_sessions))',
             'gf_messages': 'SELECT count(*) AS count_1 \n'
                            'FROM gf_messages \n'
                            'WHERE (gf_messages.session NOT IN (SELECT gf_sessions.ordinal \n'
                            'FROM gf_sessions))',
             'gf_summaries': 'SELECT count(*) AS count_1 \n'
                             'FROM gf_summaries \n'
                             'WHERE (gf_summaries.session NOT IN (SELECT gf_sessions.ordinal \n'
                             'FROM gf_sessions))',
             'gf_media_uses': 'SELECT count(*) AS count_1 \n'
                              'FROM gf_media_uses \n'
                              'WHERE (gf_media_uses.session NOT IN (SELECT gf_sessions.ordinal \n'
                              'FROM gf_sessions))'},
 'places_of': 'SELECT gf_memory_terms.place \n'
              'FROM gf_memory_terms \n'
              'WHERE gf_memory_terms.owner = :owner AND gf_memory_terms.term = :term ORDER BY gf_memory_terms.place '
              'DESC\n'
              ' LIMIT :count OFFSET 0',
 'prunable': 'SELECT gf_sessions.ordinal \n'
             'FROM gf_sessions \n'
             "WHERE gf_sessions.ordinal > :after AND (coalesce(:user_id, '') = '' OR gf_sessions.user_id = :user_id) "
             'AND (EXISTS (SELECT gf_checkpoints.seq \n'
             'FROM gf_checkpoints \n'
             "WHERE gf_checkpoints.session = gf_sessions.ordinal AND (gf_checkpoints.ns != '' OR gf_checkpoints.seq <= "
             'max(coalesce((SELECT max(gf_checkpoints.seq) AS max_1 \n'
             'FROM gf_checkpoints \n'
             "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) - "
             ':keep) AND gf_checkpoints.created_at < :before)) ORDER BY gf_sessions.ordinal\n'
             ' LIMIT :count OFFSET 0',
 'pruned_here': 'SELECT gf_pruned.first \n'
                'FROM gf_sessions JOIN gf_pruned ON gf_pruned.session = gf_sessions.ordinal \n'
                "WHERE gf_sessions.session_id = :session_id AND gf_pruned.ns = ''",
 'put_first': 'INSERT INTO gf_pruned (session, ns, first) VALUES (:session, :ns, :first) ON CONFLICT (session, ns) DO '
              'UPDATE SET first = excluded.first',
 'put_summary': 'INSERT INTO gf_summaries (session, ns, upto_seq, run, body, sha256, created_at) VALUES (:session, '
                ':ns, :upto_seq, :run, :body, :sha256, :created_at) ON CONFLICT (session, ns, upto_seq) DO UPDATE SET '
                'run = excluded.run, body = excluded.body, sha256 = excluded.sha256, created_at = excluded.created_at',
 'put_task': 'INSERT INTO gf_tasks (session, ns, task_id, kind, name, nth, origin, node, value, sha256) VALUES (?, ?, '
             '?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session, ns, task_id, kind, name, nth) DO UPDATE SET origin = '
             'excluded.origin, node = excluded.node, value = excluded.value, sha256 = excluded.sha256',
 'rebase': 'UPDATE gf_checkpoints SET base=:new_base, snapshot=:new_snapshot, sha256=:new_sha256 WHERE '
           'gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND gf_checkpoints.seq = :of',
 'rename': 'UPDATE gf_sessions SET name=:new_name, updated_at=:now, seal=:new_seal, time_seal=:time_seal WHERE '
           'gf_sessions.ordinal = :of',
 'renew_leases': "UPDATE gf_sessions SET lease_until=(CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) "
                 '+ :lease_ttl) WHERE gf_sessions.session_id IN (SELECT anon_1.value \n'
                 'FROM json_each(:held) AS anon_1) AND gf_sessions.lease_owner = :me',
 'reopen_run': "UPDATE gf_runs SET status='running', cancel_requested=NULL, error=NULL, sha256=NULL, ended_at=NULL "
               'WHERE gf_runs.run_id = :run_id AND gf_runs.session = :session',
 'request_cancel': 'UPDATE gf_runs SET cancel_requested=:now WHERE gf_runs.run_id = :run_id AND gf_runs.status = '
                   "'running' RETURNING ordinal",
 'root_runs': 'SELECT gf_runs.run_id, gf_sessions.session_id, gf_runs.ns, gf_runs.number, gf_runs.status, '
              'gf_runs.parent_run_id, gf_runs.user_id, gf_runs.component_id, gf_runs.last_message, gf_runs.last_seq, '
              'gf_runs.error, gf_runs.metrics, gf_runs.sha256, gf_runs.created_at, gf_runs.ended_at, '
              'gf_runs.first_message, gf_runs.first_seq, gf_runs.fingerprint, gf_runs.idempotency_key, gf_runs.seal, '
              "gf_sessions.lease_owner, gf_sessions.lease_until - CAST((julianday('now') - 2440587.5) * 86400000000.0 "
              'AS INTEGER) AS lease_left \n'
              'FROM gf_sessions JOIN gf_runs ON gf_runs.session = gf_sessions.ordinal \n'
              "WHERE gf_sessions.session_id = :session_id AND (coalesce(:user_id, '') = '' OR gf_sessions.user_id = "
              ":user_id) AND gf_runs.ns = '' AND gf_runs.parent_run_id IS NULL ORDER BY gf_runs.number DESC\n"
              ' LIMIT :count OFFSET 0',
 'row_at': {'gf_runs': 'SELECT gf_runs.ordinal, gf_runs.run_id, gf_runs.session, gf_runs.ns, gf_runs.number, '
                       'gf_runs.status, gf_runs.parent_run_id, gf_runs.component_id, gf_runs.user_id, gf_runs.input, '
                       'gf_runs.output, gf_runs.first_message, gf_runs.last_message, gf_runs.first_seq, '
                       'gf_runs.last_seq, gf_runs.fingerprint, gf_runs.idempotency_key, gf_runs.cancel_requested, '
                       'gf_runs.error, gf_runs.metrics, gf_runs.sha256, gf_runs.created_at, gf_runs.ended_at, '
                       'gf_runs.seal \n'
                       'FROM gf_runs \n'
                       'WHERE gf_runs.ordinal = :ordinal',
            'gf_checkpoints': 'SELECT gf_checkpoints.session, gf_checkpoints.ns, gf_checkpoints.seq, '
                              'gf_checkpoints.run, gf_checkpoints.base, gf_checkpoints.log_head, gf_checkpoints.epoch, '
                              'gf_checkpoints.frontier, gf_checkpoints.delta, gf_checkpoints.snapshot, '
                              'gf_checkpoints.sha256, gf_checkpoints.created_at \n'
                              'FROM gf_checkpoints \n'
                              'WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns = :ns AND '
                              'gf_checkpoints.seq = :seq',
            'gf_tasks': 'SELECT gf_tasks.session, gf_tasks.ns, gf_tasks.task_id, gf_tasks.kind, gf_tasks.name, '
                        'gf_tasks.nth, gf_tasks.origin, gf_tasks.node, gf_tasks.value, gf_tasks.sha256 \n'
                        'FROM gf_tasks \n'
                        'WHERE gf_tasks.session = :session AND gf_tasks.ns = :ns AND gf_tasks.task_id = :task_id AND '
                        'gf_tasks.kind = :kind AND gf_tasks.name = :name AND gf_tasks.nth = :nth',
            'gf_messages': 'SELECT gf_messages.session, gf_messages.ns, gf_messages.seq, gf_messages.run, '
                           'gf_messages.role, gf_messages.body, gf_messages.sha256 \n'
                           'FROM gf_messages \n'
                           'WHERE gf_messages.session = :session AND gf_messages.ns = :ns AND gf_messages.seq = :seq',
            'gf_summaries': 'SELECT gf_summaries.session, gf_summaries.ns, gf_summaries.upto_seq, gf_summaries.run, '
                            'gf_summaries.body, gf_summaries.sha256, gf_summaries.created_at \n'
                            'FROM gf_summaries \n'
                            'WHERE gf_summaries.session = :session AND gf_summaries.ns = :ns AND gf_summaries.upto_seq '
                            '= :upto_seq'},
 'row_keys': {'gf_runs': 'SELECT gf_runs.ordinal \n'
                         'FROM gf_runs \n'
                         'WHERE gf_runs.session = :session ORDER BY gf_runs.ordinal',
              'gf_checkpoints': 'SELECT gf_checkpoints.session, gf_checkpoints.ns, gf_checkpoints.seq \n'
                                'FROM gf_checkpoints \n'
                                'WHERE gf_checkpoints.session = :session ORDER BY gf_checkpoints.session, '
                                'gf_checkpoints.ns, gf_checkpoints.seq',
              'gf_tasks': 'SELECT gf_tasks.session, gf_tasks.ns, gf_tasks.task_id, gf_tasks.kind, gf_tasks.name, '
                          'gf_tasks.nth \n'
                          'FROM gf_tasks \n'
                          'WHERE gf_tasks.session = :session ORDER BY gf_tasks.session, gf_tasks.ns, gf_tasks.task_id, '
                          'gf_tasks.kind, gf_tasks.name, gf_tasks.nth',
              'gf_messages': 'SELECT gf_messages.session, gf_messages.ns, gf_messages.seq \n'
                             'FROM gf_messages \n'
                             'WHERE gf_messages.session = :session ORDER BY gf_messages.session, gf_messages.ns, '
                             'gf_messages.seq',
              'gf_summaries': 'SELECT gf_summaries.session, gf_summaries.ns, gf_summaries.upto_seq \n'
                              'FROM gf_summaries \n'
                              'WHERE gf_summaries.session = :session ORDER BY gf_summaries.session, gf_summaries.ns, '
                              'gf_summaries.upto_seq'},
 'run_by_id': 'SELECT gf_runs.run_id, gf_sessions.session_id, gf_runs.ns, gf_runs.number, gf_runs.status, '
              'gf_runs.parent_run_id, gf_runs.user_id, gf_runs.component_id, gf_runs.last_message, gf_runs.last_seq, '
              'gf_runs.error, gf_runs.metrics, gf_runs.sha256, gf_runs.created_at, gf_runs.ended_at, '
              'gf_runs.first_message, gf_runs.first_seq, gf_runs.fingerprint, gf_runs.idempotency_key, gf_runs.seal, '
              "gf_sessions.lease_owner, gf_sessions.lease_until - CAST((julianday('now') - 2440587.5) * 86400000000.0 "
              'AS INTEGER) AS lease_left \n'
              'FROM gf_sessions JOIN gf_runs ON gf_runs.session = gf_sessions.ordinal \n'
              "WHERE gf_runs.run_id = :run_id AND (coalesce(:user_id, '') = '' OR gf_sessions.user_id = :user_id)",
 'run_of_key': 'SELECT gf_runs.run_id, gf_sessions.session_id, gf_runs.status, gf_runs.input, gf_runs.last_seq, '
               'gf_runs.metrics \n'
               'FROM gf_sessions JOIN gf_runs ON gf_runs.session = gf_sessions.ordinal \n'
               "WHERE coalesce(gf_runs.component_id, '') = coalesce(:component_id, '') AND coalesce(gf_runs.user_id, "
               "'') = coalesce(:user_id, '') AND gf_runs.idempotency_key = :idempotency_key",
 'run_range': 'SELECT gf_sessions.session_id, gf_sessions.ordinal, gf_runs.ns, gf_runs.first_message, '
              'gf_runs.last_message, gf_runs.ordinal AS ordinal_1 \n'
              'FROM gf_sessions JOIN gf_runs ON gf_runs.session = gf_sessions.ordinal \n'
              "WHERE gf_runs.run_id = :run_id AND (coalesce(:user_id, '') = '' OR gf_sessions.user_id = :user_id)",
 'run_standing': 'SELECT gf_sessions.session_id, gf_runs.status, gf_sessions.lease_owner, gf_sessions.lease_until - '
                 "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) AS lease_left, gf_sessions.user_id "
                 'IS NULL OR gf_sessions.user_id = :user_id AS may \n'
                 'FROM gf_sessions JOIN gf_runs ON gf_runs.session = gf_sessions.ordinal \n'
                 'WHERE gf_runs.run_id = :run_id',
 'run_times': 'SELECT gf_runs.ordinal, gf_runs.created_at \nFROM gf_runs \nWHERE gf_runs.session = :session',
 'runs_of_session': 'SELECT gf_runs.ordinal, gf_runs.run_id, gf_runs.status, gf_runs.first_message, '
                    'gf_runs.fingerprint, gf_runs.component_id \n'
                    'FROM gf_runs \n'
                    'WHERE gf_runs.session = :session',
 'runs_with_members': 'SELECT gf_runs.run_id, gf_sessions.session_id, gf_runs.ns, gf_runs.number, gf_runs.status, '
                      'gf_runs.parent_run_id, gf_runs.user_id, gf_runs.component_id, gf_runs.last_message, '
                      'gf_runs.last_seq, gf_runs.error, gf_runs.metrics, gf_runs.sha256, gf_runs.created_at, '
                      'gf_runs.ended_at, gf_runs.first_message, gf_runs.first_seq, gf_runs.fingerprint, '
                      'gf_runs.idempotency_key, gf_runs.seal, gf_sessions.lease_owner, gf_sessions.lease_until - '
                      "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) AS lease_left \n"
                      'FROM gf_sessions JOIN gf_runs ON gf_runs.session = gf_sessions.ordinal \n'
                      "WHERE gf_sessions.session_id = :session_id AND (coalesce(:user_id, '') = '' OR "
                      'gf_sessions.user_id = :user_id) ORDER BY gf_runs.created_at DESC, gf_runs.ordinal DESC\n'
                      ' LIMIT :count OFFSET 0',
 'schema_version': 'SELECT max(gf_schema.version) AS max_1 \nFROM gf_schema',
 'seal_session': 'UPDATE gf_sessions SET seal=:new_seal WHERE gf_sessions.ordinal = :session',
 'session_ordinals': 'SELECT gf_sessions.ordinal, gf_sessions.session_id \n'
                     'FROM gf_sessions ORDER BY gf_sessions.ordinal',
 'session_row': 'SELECT gf_sessions.ordinal, gf_sessions.session_id, gf_sessions.session_type, gf_sessions.user_id, '
                'gf_sessions.component_id, gf_sessions.name, gf_sessions.metadata, gf_sessions.status, '
                'max(coalesce((SELECT max(gf_checkpoints.seq) AS max_1 \n'
                'FROM gf_checkpoints \n'
                "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), "
                'gf_sessions.head) AS head, gf_sessions.epoch, gf_sessions.lease_owner, gf_sessions.lease_until, '
                'gf_sessions.created_at, gf_sessions.updated_at, gf_sessions.seal, gf_sessions.time_seal \n'
                'FROM gf_sessions \n'
                'WHERE gf_sessions.ordinal = :session',
 'session_sizes': ['SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(length(CAST(gf_checkpoints.frontier AS '
                   'BLOB)), 0) + coalesce(length(CAST(gf_checkpoints.delta AS BLOB)), 0) + '
                   'coalesce(length(CAST(gf_checkpoints.snapshot AS BLOB)), 0)), 0) AS coalesce_1 \n'
                   'FROM gf_checkpoints \n'
                   'WHERE gf_checkpoints.session = :session',
                   'SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(length(CAST(gf_messages.body AS BLOB)), 0)), '
                   '0) AS coalesce_1 \n'
                   'FROM gf_messages \n'
                   'WHERE gf_messages.session = :session',
                   'SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(length(CAST(gf_tasks.value AS BLOB)), 0)), '
                   '0) AS coalesce_1 \n'
                   'FROM gf_tasks \n'
                   'WHERE gf_tasks.session = :session',
                   'SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(length(CAST(gf_summaries.body AS BLOB)), '
                   '0)), 0) AS coalesce_1 \n'
                   'FROM gf_summaries \n'
                   'WHERE gf_summaries.session = :session'],
 'spaces_of_checkpoints': 'SELECT gf_checkpoints.ns, max(gf_checkpoints.seq) AS max_1, max(gf_checkpoints.created_at) '
                          'AS max_2 \n'
                          'FROM gf_checkpoints \n'
                          "WHERE gf_checkpoints.session = :session AND gf_checkpoints.ns != '' GROUP BY "
                          'gf_checkpoints.ns ORDER BY gf_checkpoints.ns',
 'standing': 'SELECT gf_sessions.ordinal, max(coalesce((SELECT max(gf_checkpoints.seq) AS max_2 \n'
             'FROM gf_checkpoints \n'
             "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) "
             'AS max_1, gf_sessions.epoch, gf_sessions.user_id, gf_sessions.lease_owner, gf_sessions.lease_until - '
             "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) AS lease_left \n"
             'FROM gf_sessions \n'
             'WHERE gf_sessions.session_id = :session_id',
 'standing_of_user': 'SELECT gf_sessions.ordinal, max(coalesce((SELECT max(gf_checkpoints.seq) AS max_2 \n'
                     'FROM gf_checkpoints \n'
                     "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), "
                     'gf_sessions.head) AS max_1 \n'
                     'FROM gf_sessions \n'
                     'WHERE gf_sessions.session_id = :session_id AND (gf_sessions.user_id IS NULL OR '
                     'gf_sessions.user_id = :user_id)',
 'step': 'INSERT INTO gf_checkpoints (ns, run, base, log_head, epoch, frontier, delta, snapshot, sha256, created_at, '
         'seq, session) SELECT ? AS ns, ? AS run, ? AS base, ? AS log_head, ? AS epoch, ? AS frontier, ? AS delta, ? '
         'AS snapshot, ? AS sha256, ? AS created_at, ? + 1 AS seq, gf_sessions.ordinal \n'
         'FROM gf_sessions \n'
         'WHERE gf_sessions.ordinal = ? AND gf_sessions.epoch = ? ON CONFLICT DO NOTHING',
 'still_disused': 'SELECT gf_sessions.session_id, gf_sessions.updated_at, gf_sessions.time_seal \n'
                  'FROM gf_sessions \n'
                  'WHERE gf_sessions.ordinal = :session AND gf_sessions.lease_owner IS NULL AND gf_sessions.status != '
                  "'running' AND gf_sessions.updated_at < :before",
 'take': 'UPDATE gf_sessions SET user_id=coalesce(gf_sessions.user_id, :owner), status=coalesce(:new_status, '
         'gf_sessions.status), head=:new_head, epoch=(gf_sessions.epoch + 1), lease_owner=:lease_owner, '
         "lease_until=(CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) + :lease_ttl), updated_at=:now, "
         'time_seal=:time_seal WHERE gf_sessions.session_id = :session_id AND max(coalesce((SELECT '
         'max(gf_checkpoints.seq) AS max_1 \n'
         'FROM gf_checkpoints \n'
         "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) = "
         ':expected_head AND gf_sessions.epoch = :expected_epoch AND (gf_sessions.lease_owner IS NULL OR '
         "gf_sessions.lease_until < CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) OR "
         'gf_sessions.lease_owner = :me OR gf_sessions.lease_owner = :dead) RETURNING ordinal, session_id, '
         'session_type, user_id, component_id, name, metadata, created_at, seal',
 'take_own': 'UPDATE gf_sessions SET status=coalesce(?, gf_sessions.status), head=?, epoch=(gf_sessions.epoch + 1), '
             "lease_owner=?, lease_until=(CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER) + ?), "
             'updated_at=?, time_seal=? WHERE gf_sessions.ordinal = ? AND max(coalesce((SELECT max(gf_checkpoints.seq) '
             'AS max_1 \n'
             'FROM gf_checkpoints \n'
             "WHERE gf_checkpoints.session = gf_sessions.ordinal AND gf_checkpoints.ns = ''), -1), gf_sessions.head) = "
             '? AND gf_sessions.epoch = ? AND gf_sessions.user_id IS ? AND gf_sessions.seal IS NOT NULL AND '
             "(gf_sessions.lease_owner IS NULL OR gf_sessions.lease_until < CAST((julianday('now') - 2440587.5) * "
             '86400000000.0 AS INTEGER) OR gf_sessions.lease_owner = ?)',
 'unindexed_memories': 'SELECT gf_memories.ordinal, gf_memories.user_id, gf_memories.memory \n'
                       'FROM gf_memories \n'
                       'WHERE (gf_memories.ordinal NOT IN (SELECT gf_memory_index.memory \n'
                       'FROM gf_memory_index)) ORDER BY gf_memories.ordinal'}
)
