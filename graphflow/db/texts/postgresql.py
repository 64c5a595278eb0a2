"""Written by ``python -m graphflow.db.statements``: the SQL of the store for postgresql."""

TEXTS = (
{'all_graphs': 'SELECT gf_place.gf_graphs.fingerprint, gf_place.gf_graphs.outline \n'
               'FROM gf_place.gf_graphs ORDER BY gf_place.gf_graphs.fingerprint',
 'all_media': 'SELECT gf_place.gf_media.sha256 \nFROM gf_place.gf_media ORDER BY gf_place.gf_media.sha256',
 'all_memories': 'SELECT gf_place.gf_memories.fact, gf_place.gf_memories.seal, gf_place.gf_memories.memory_id, '
                 'gf_place.gf_memories.user_id, gf_place.gf_memories.memory, gf_place.gf_memories.topics, '
                 'gf_place.gf_memories.version, gf_place.gf_memories.run_id, gf_place.gf_memories.message_id, '
                 'gf_place.gf_memories.created_at, gf_place.gf_memories.updated_at \n'
                 'FROM gf_place.gf_memories ORDER BY gf_place.gf_memories.ordinal',
 'all_rows': {'gf_runs': 'SELECT gf_place.gf_runs.ordinal, gf_place.gf_runs.run_id, gf_place.gf_runs.session, '
                         'gf_place.gf_runs.ns, gf_place.gf_runs.number, gf_place.gf_runs.status, '
                         'gf_place.gf_runs.parent_run_id, gf_place.gf_runs.component_id, gf_place.gf_runs.user_id, '
                         'gf_place.gf_runs.input, gf_place.gf_runs.output, gf_place.gf_runs.first_message, '
                         'gf_place.gf_runs.last_message, gf_place.gf_runs.first_seq, gf_place.gf_runs.last_seq, '
                         'gf_place.gf_runs.fingerprint, gf_place.gf_runs.idempotency_key, '
                         'gf_place.gf_runs.cancel_requested, gf_place.gf_runs.error, gf_place.gf_runs.metrics, '
                         'gf_place.gf_runs.sha256, gf_place.gf_runs.created_at, gf_place.gf_runs.ended_at, '
                         'gf_place.gf_runs.seal \n'
                         'FROM gf_place.gf_runs \n'
                         'WHERE gf_place.gf_runs.session = %(session)s::BIGINT ORDER BY gf_place.gf_runs.ordinal',
              'gf_checkpoints': 'SELECT gf_place.gf_checkpoints.session, gf_place.gf_checkpoints.ns, '
                                'gf_place.gf_checkpoints.seq, gf_place.gf_checkpoints.run, '
                                'gf_place.gf_checkpoints.base, gf_place.gf_checkpoints.log_head, '
                                'gf_place.gf_checkpoints.epoch, gf_place.gf_checkpoints.frontier, '
                                'gf_place.gf_checkpoints.delta, gf_place.gf_checkpoints.snapshot, '
                                'gf_place.gf_checkpoints.sha256, gf_place.gf_checkpoints.created_at \n'
                                'FROM gf_place.gf_checkpoints \n'
                                'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT ORDER BY '
                                'gf_place.gf_checkpoints.session, gf_place.gf_checkpoints.ns, '
                                'gf_place.gf_checkpoints.seq',
              'gf_tasks': 'SELECT gf_place.gf_tasks.session, gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, '
                          'gf_place.gf_tasks.kind, gf_place.gf_tasks.name, gf_place.gf_tasks.nth, '
                          'gf_place.gf_tasks.origin, gf_place.gf_tasks.node, gf_place.gf_tasks.value, '
                          'gf_place.gf_tasks.sha256 \n'
                          'FROM gf_place.gf_tasks \n'
                          'WHERE gf_place.gf_tasks.session = %(session)s::BIGINT ORDER BY gf_place.gf_tasks.session, '
                          'gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, gf_place.gf_tasks.kind, '
                          'gf_place.gf_tasks.name, gf_place.gf_tasks.nth',
              'gf_messages': 'SELECT gf_place.gf_messages.session, gf_place.gf_messages.ns, gf_place.gf_messages.seq, '
                             'gf_place.gf_messages.run, gf_place.gf_messages.role, gf_place.gf_messages.body, '
                             'gf_place.gf_messages.sha256 \n'
                             'FROM gf_place.gf_messages \n'
                             'WHERE gf_place.gf_messages.session = %(session)s::BIGINT ORDER BY '
                             'gf_place.gf_messages.session, gf_place.gf_messages.ns, gf_place.gf_messages.seq',
              'gf_summaries': 'SELECT gf_place.gf_summaries.session, gf_place.gf_summaries.ns, '
                              'gf_place.gf_summaries.upto_seq, gf_place.gf_summaries.run, gf_place.gf_summaries.body, '
                              'gf_place.gf_summaries.sha256, gf_place.gf_summaries.created_at \n'
                              'FROM gf_place.gf_summaries \n'
                              'WHERE gf_place.gf_summaries.session = %(session)s::BIGINT ORDER BY '
                              'gf_place.gf_summaries.session, gf_place.gf_summaries.ns, '
                              'gf_place.gf_summaries.upto_seq'},
 'asked_to_stop': 'SELECT gf_place.gf_sessions.session_id, (SELECT gf_place.gf_runs.run_id \n'
                  'FROM gf_place.gf_runs \n'
                  "WHERE gf_place.gf_runs.session = gf_place.gf_sessions.ordinal AND gf_place.gf_runs.ns = '' AND "
                  'gf_place.gf_runs.number = (SELECT newest.number \n'
                  'FROM gf_place.gf_runs AS newest \n'
                  "WHERE newest.session = gf_place.gf_sessions.ordinal AND newest.ns = '' ORDER BY newest.number "
                  'DESC \n'
                  " LIMIT 1 OFFSET 0) AND gf_place.gf_runs.status = 'running' AND gf_place.gf_runs.cancel_requested IS "
                  'NOT NULL) AS anon_1 \n'
                  'FROM gf_place.gf_sessions \n'
                  'WHERE gf_place.gf_sessions.session_id IN (SELECT value \n'
                  'FROM json_array_elements_text(CAST(%(held)s AS JSON)) AS value) AND '
                  'gf_place.gf_sessions.lease_owner = %(me)s',
 'base_of': 'SELECT gf_place.gf_checkpoints.base \n'
            'FROM gf_place.gf_checkpoints \n'
            'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s AND '
            'gf_place.gf_checkpoints.seq = %(seq)s::BIGINT',
 'begin': 'WITH moved AS \n'
          "(UPDATE gf_place.gf_sessions SET status='running', head=%(new_head)s::BIGINT, "
          'epoch=(gf_place.gf_sessions.epoch + 1), lease_owner=%(me)s::VARCHAR COLLATE "C", '
          'lease_until=(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + %(lease_ttl)s::BIGINT), '
          'updated_at=%(now)s::BIGINT, time_seal=%(time_seal)s WHERE gf_place.gf_sessions.ordinal = '
          '%(session)s::BIGINT AND gf_place.gf_sessions.head = %(expected_head)s::BIGINT AND '
          'gf_place.gf_sessions.epoch = %(expected_epoch)s::BIGINT AND (gf_place.gf_sessions.lease_owner IS NULL OR '
          'gf_place.gf_sessions.lease_until < CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) OR '
          'gf_place.gf_sessions.lease_owner = %(me)s) AND gf_place.gf_sessions.user_id IS NOT DISTINCT FROM '
          '%(user_id)s::VARCHAR AND gf_place.gf_sessions.seal IS NOT NULL AND NOT (EXISTS (SELECT '
          'gf_place.gf_runs.ordinal \n'
          'FROM gf_place.gf_runs \n'
          'WHERE gf_place.gf_runs.run_id = %(run_id)s)) RETURNING gf_place.gf_sessions.ordinal), \n'
          'began AS \n'
          '(INSERT INTO gf_place.gf_runs (run_id, status, parent_run_id, component_id, user_id, input, first_message, '
          'first_seq, fingerprint, created_at, seal, session, ns, number) SELECT %(run_id)s::VARCHAR COLLATE "C" AS '
          'anon_10, %(status)s::VARCHAR COLLATE "C" AS anon_11, %(parent_run_id)s::VARCHAR COLLATE "C" AS anon_12, '
          '%(component_id)s::VARCHAR COLLATE "C" AS anon_13, %(user_id)s::VARCHAR COLLATE "C" AS anon_14, '
          '%(input)s::VARCHAR COLLATE "C" AS anon_15, %(first_message)s::BIGINT AS anon_16, %(first_seq)s::BIGINT AS '
          'anon_17, %(fingerprint)s::VARCHAR COLLATE "C" AS anon_18, %(created_at)s::BIGINT AS anon_19, %(seal)s AS '
          "anon_20, moved.ordinal AS ordinal, '', coalesce((SELECT max(others.number) AS max_1 \n"
          'FROM gf_place.gf_runs AS others \n'
          "WHERE others.session = moved.ordinal AND others.ns = ''), 0) + 1 AS anon_21 \n"
          'FROM moved RETURNING gf_place.gf_runs.ordinal), \n'
          'stored AS \n'
          '(INSERT INTO gf_place.gf_checkpoints (session, ns, seq, run, base, log_head, epoch, frontier, delta, '
          "snapshot, sha256, created_at) SELECT moved.ordinal AS ordinal, '', %(cp_seq)s::BIGINT AS anon_1, "
          'began.ordinal AS ordinal_1, %(cp_base)s::BIGINT AS anon_2, %(cp_log_head)s::BIGINT AS anon_3, '
          '%(cp_epoch)s::BIGINT AS anon_4, %(cp_frontier)s::VARCHAR COLLATE "C" AS anon_5, %(cp_delta)s::VARCHAR '
          'COLLATE "C" AS anon_6, %(cp_snapshot)s::VARCHAR COLLATE "C" AS anon_7, %(cp_sha256)s AS anon_8, '
          '%(cp_created_at)s::BIGINT AS anon_9 \n'
          'FROM moved, began), \n'
          'said AS \n'
          '(INSERT INTO gf_place.gf_messages (session, ns, run, seq, role, body, sha256) SELECT moved.ordinal AS '
          'ordinal, \'\', began.ordinal AS ordinal_1, "new".seq AS seq, "new".role AS role, "new".body AS body, '
          '"new".sha256 AS sha256 \n'
          'FROM unnest(%(seqs)s::BIGINT[], %(roles)s::TEXT[], %(bodies)s::TEXT[], %(checksums)s::BYTEA[]) AS '
          '"new"(seq, role, body, sha256), moved, began)\n'
          ' SELECT moved.ordinal, began.ordinal AS ordinal_1 \n'
          'FROM moved, began',
 'chain': 'SELECT gf_place.gf_checkpoints.seq, gf_place.gf_checkpoints.base, gf_place.gf_checkpoints.log_head, '
          'gf_place.gf_checkpoints.epoch, gf_place.gf_checkpoints.frontier, gf_place.gf_checkpoints.delta, '
          'gf_place.gf_checkpoints.snapshot, gf_place.gf_checkpoints.created_at, gf_place.gf_checkpoints.sha256, '
          'gf_place.gf_checkpoints.run \n'
          'FROM gf_place.gf_checkpoints \n'
          'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s AND '
          'gf_place.gf_checkpoints.seq BETWEEN %(low)s::BIGINT AND %(high)s::BIGINT ORDER BY '
          'gf_place.gf_checkpoints.seq',
 'chain_above': 'SELECT gf_place.gf_checkpoints.seq, gf_place.gf_checkpoints.log_head, gf_place.gf_checkpoints.epoch, '
                'gf_place.gf_checkpoints.frontier, gf_place.gf_checkpoints.delta, gf_place.gf_checkpoints.snapshot, '
                'gf_place.gf_checkpoints.created_at, gf_place.gf_checkpoints.sha256 \n'
                'FROM gf_place.gf_checkpoints \n'
                'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s '
                'AND gf_place.gf_checkpoints.seq >= %(low)s::BIGINT AND gf_place.gf_checkpoints.base = '
                '%(base)s::BIGINT ORDER BY gf_place.gf_checkpoints.seq',
 'change_memory': 'UPDATE gf_place.gf_memories SET memory=%(new_memory)s::VARCHAR COLLATE "C", '
                  'topics=%(new_topics)s::VARCHAR COLLATE "C", version=(gf_place.gf_memories.version + 1), '
                  'fact=%(new_fact)s, run_id=%(new_run_id)s::VARCHAR COLLATE "C", '
                  'message_id=%(new_message_id)s::VARCHAR COLLATE "C", updated_at=%(new_updated_at)s::BIGINT, '
                  'seal=%(new_seal)s WHERE gf_place.gf_memories.memory_id = %(memory_id)s AND '
                  'gf_place.gf_memories.user_id = %(user_id)s AND gf_place.gf_memories.version = %(version)s::BIGINT '
                  'RETURNING gf_place.gf_memories.ordinal',
 'checkpoint_facts': 'SELECT gf_place.gf_checkpoints.base, gf_place.gf_checkpoints.created_at, '
                     'gf_place.gf_checkpoints.run \n'
                     'FROM gf_place.gf_checkpoints \n'
                     'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = '
                     '%(ns)s AND gf_place.gf_checkpoints.seq = %(seq)s::BIGINT',
 'checkpoints_below': 'SELECT count(*) AS count_1, coalesce(sum(0 + '
                      'coalesce(octet_length(gf_place.gf_checkpoints.frontier), 0) + '
                      'coalesce(octet_length(gf_place.gf_checkpoints.delta), 0) + '
                      'coalesce(octet_length(gf_place.gf_checkpoints.snapshot), 0)), 0) AS coalesce_1 \n'
                      'FROM gf_place.gf_checkpoints \n'
                      'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = '
                      '%(ns)s AND gf_place.gf_checkpoints.seq < %(low)s::BIGINT',
 'clear_index': ['DELETE FROM gf_place.gf_memory_index WHERE gf_place.gf_memory_index.owner = %(owner)s::BIGINT',
                 'DELETE FROM gf_place.gf_memory_terms WHERE gf_place.gf_memory_terms.owner = %(owner)s::BIGINT'],
 'close_run': 'UPDATE gf_place.gf_runs SET status=%s::VARCHAR COLLATE "C", last_message=%s::BIGINT, '
              'last_seq=%s::BIGINT, error=%s::VARCHAR COLLATE "C", metrics=%s::VARCHAR COLLATE "C", sha256=%s, '
              'ended_at=%s::BIGINT WHERE gf_place.gf_runs.run_id = %s AND gf_place.gf_runs.session = %s::BIGINT',
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
 'copy_rows': {'gf_checkpoints': 'INSERT INTO gf_place.gf_checkpoints (session, ns, seq, run, base, log_head, epoch, '
                                 'frontier, delta, snapshot, sha256, created_at) VALUES (%(session)s::BIGINT, '
                                 '%(ns)s::VARCHAR COLLATE "C", %(seq)s::BIGINT, %(run)s::BIGINT, %(base)s::BIGINT, '
                                 '%(log_head)s::BIGINT, %(epoch)s::BIGINT, %(frontier)s::VARCHAR COLLATE "C", '
                                 '%(delta)s::VARCHAR COLLATE "C", %(snapshot)s::VARCHAR COLLATE "C", %(sha256)s, '
                                 '%(created_at)s::BIGINT)',
               'gf_tasks': 'INSERT INTO gf_place.gf_tasks (session, ns, task_id, kind, name, nth, origin, node, value, '
                           'sha256) VALUES (%(session)s::BIGINT, %(ns)s::VARCHAR COLLATE "C", %(task_id)s::VARCHAR '
                           'COLLATE "C", %(kind)s::VARCHAR COLLATE "C", %(name)s::VARCHAR COLLATE "C", '
                           '%(nth)s::BIGINT, %(origin)s::BIGINT, %(node)s::VARCHAR COLLATE "C", %(value)s::VARCHAR '
                           'COLLATE "C", %(sha256)s)',
               'gf_messages': 'INSERT INTO gf_place.gf_messages (session, ns, seq, run, role, body, sha256) VALUES '
                              '(%(session)s::BIGINT, %(ns)s::VARCHAR COLLATE "C", %(seq)s::BIGINT, %(run)s::BIGINT, '
                              '%(role)s::VARCHAR COLLATE "C", %(body)s::VARCHAR COLLATE "C", %(sha256)s)',
               'gf_summaries': 'INSERT INTO gf_place.gf_summaries (session, ns, upto_seq, run, body, sha256, '
                               'created_at) VALUES (%(session)s::BIGINT, %(ns)s::VARCHAR COLLATE "C", '
                               '%(upto_seq)s::BIGINT, %(run)s::BIGINT, %(body)s::VARCHAR COLLATE "C", %(sha256)s, '
                               '%(created_at)s::BIGINT)'},
 'copy_run': 'INSERT INTO gf_place.gf_runs (run_id, session, ns, number, status, parent_run_id, component_id, user_id, '
             'input, output, first_message, last_message, first_seq, last_seq, fingerprint, idempotency_key, '
             'cancel_requested, error, metrics, sha256, created_at, ended_at, seal) VALUES (%(run_id)s::VARCHAR '
             'COLLATE "C", %(session)s::BIGINT, %(ns)s::VARCHAR COLLATE "C", %(number)s::BIGINT, %(status)s::VARCHAR '
             'COLLATE "C", %(parent_run_id)s::VARCHAR COLLATE "C", %(component_id)s::VARCHAR COLLATE "C", '
             '%(user_id)s::VARCHAR COLLATE "C", %(input)s::VARCHAR COLLATE "C", %(output)s::VARCHAR COLLATE "C", '
             '%(first_message)s::BIGINT, %(last_message)s::BIGINT, %(first_seq)s::BIGINT, %(last_seq)s::BIGINT, '
             '%(fingerprint)s::VARCHAR COLLATE "C", %(idempotency_key)s::VARCHAR COLLATE "C", '
             '%(cancel_requested)s::BIGINT, %(error)s::VARCHAR COLLATE "C", %(metrics)s::VARCHAR COLLATE "C", '
             '%(sha256)s, %(created_at)s::BIGINT, %(ended_at)s::BIGINT, %(seal)s) ON CONFLICT DO NOTHING RETURNING '
             'gf_place.gf_runs.ordinal',
 'copy_session': 'INSERT INTO gf_place.gf_sessions (session_id, session_type, user_id, component_id, name, metadata, '
                 'status, head, epoch, lease_owner, lease_until, created_at, updated_at, seal, time_seal) VALUES '
                 '(%(session_id)s::VARCHAR COLLATE "C", %(session_type)s::VARCHAR COLLATE "C", %(user_id)s::VARCHAR '
                 'COLLATE "C", %(component_id)s::VARCHAR COLLATE "C", %(name)s::VARCHAR COLLATE "C", '
                 '%(metadata)s::VARCHAR COLLATE "C", %(status)s::VARCHAR COLLATE "C", %(head)s::BIGINT, '
                 '%(epoch)s::BIGINT, %(lease_owner)s::VARCHAR COLLATE "C", %(lease_until)s::BIGINT, '
                 '%(created_at)s::BIGINT, %(updated_at)s::BIGINT, %(seal)s, %(time_seal)s) ON CONFLICT DO NOTHING '
                 'RETURNING gf_place.gf_sessions.ordinal',
 'count_memories': 'SELECT count(*) AS count_1 \n'
                   'FROM (SELECT gf_place.gf_memories.ordinal AS ordinal \n'
                   'FROM gf_place.gf_memories \n'
                   'WHERE gf_place.gf_memories.user_id = %(user_id)s \n'
                   ' LIMIT %(count)s::BIGINT OFFSET 0) AS anon_1',
 'count_places': 'SELECT count(*) AS count_1 \n'
                 'FROM (SELECT gf_place.gf_memory_terms.place AS place \n'
                 'FROM gf_place.gf_memory_terms \n'
                 'WHERE gf_place.gf_memory_terms.owner = %(owner)s::BIGINT AND gf_place.gf_memory_terms.term = '
                 '%(term)s \n'
                 ' LIMIT %(count)s::BIGINT OFFSET 0) AS anon_1',
 'create_indexes': ['CREATE INDEX IF NOT EXISTS gf_media_uses_session ON gf_place.gf_media_uses (session)',
                    'CREATE INDEX IF NOT EXISTS gf_memories_user ON gf_place.gf_memories (user_id, updated_at)',
                    'CREATE UNIQUE INDEX IF NOT EXISTS gf_runs_idempotency ON gf_place.gf_runs (coalesce(component_id, '
                    "''), coalesce(user_id, ''), idempotency_key) WHERE idempotency_key IS NOT NULL",
                    'CREATE INDEX IF NOT EXISTS gf_sessions_created ON gf_place.gf_sessions (created_at)',
                    'CREATE INDEX IF NOT EXISTS gf_sessions_updated ON gf_place.gf_sessions (updated_at)',
                    'CREATE INDEX IF NOT EXISTS gf_sessions_user ON gf_place.gf_sessions (user_id, created_at)'],
 'create_memory_index': ['\n'
                         'CREATE TABLE IF NOT EXISTS gf_place.gf_memory_index (\n'
                         '\towner BIGINT NOT NULL, \n'
                         '\tplace BIGINT NOT NULL, \n'
                         '\tmemory BIGINT NOT NULL, \n'
                         '\tspeaker TEXT COLLATE "C", \n'
                         '\ttimely BIGINT NOT NULL, \n'
                         '\tterms TEXT COLLATE "C" NOT NULL, \n'
                         '\tPRIMARY KEY (owner, place), \n'
                         '\tUNIQUE (memory)\n'
                         ')\n'
                         '\n',
                         '\n'
                         'CREATE TABLE IF NOT EXISTS gf_place.gf_memory_terms (\n'
                         '\towner BIGINT NOT NULL, \n'
                         '\tterm TEXT COLLATE "C" NOT NULL, \n'
                         '\tplace BIGINT NOT NULL, \n'
                         '\tPRIMARY KEY (owner, term, place)\n'
                         ')\n'
                         '\n'],
 'create_schema': 'CREATE SCHEMA gf_place',
 'create_schema_table': '\n'
                        'CREATE TABLE IF NOT EXISTS gf_place.gf_schema (\n'
                        '\tversion INTEGER NOT NULL, \n'
                        '\tapplied_at BIGINT NOT NULL, \n'
                        '\tPRIMARY KEY (version)\n'
                        ')\n'
                        '\n',
 'create_tables': [('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_checkpoints (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT COLLATE "C" NOT NULL, \n'
                    '\tseq BIGINT NOT NULL, \n'
                    '\trun BIGINT, \n'
                    '\tbase BIGINT NOT NULL, \n'
                    '\tlog_head BIGINT NOT NULL, \n'
                    '\tepoch BIGINT NOT NULL, \n'
                    '\tfrontier TEXT COLLATE "C", \n'
                    '\tdelta TEXT COLLATE "C", \n'
                    '\tsnapshot TEXT COLLATE "C", \n'
                    '\tsha256 BYTEA NOT NULL, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, seq)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_checkpoints \nWHERE false',
                    {'session': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN ns TEXT COLLATE "C" NOT NULL',
                     'seq': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN seq BIGINT NOT NULL',
                     'run': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN run BIGINT',
                     'base': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN base BIGINT NOT NULL',
                     'log_head': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN log_head BIGINT NOT NULL',
                     'epoch': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN epoch BIGINT NOT NULL',
                     'frontier': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN frontier TEXT COLLATE "C"',
                     'delta': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN delta TEXT COLLATE "C"',
                     'snapshot': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN snapshot TEXT COLLATE "C"',
                     'sha256': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN sha256 BYTEA NOT NULL',
                     'created_at': 'ALTER TABLE gf_place.gf_checkpoints ADD COLUMN created_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_graphs (\n'
                    '\tfingerprint TEXT COLLATE "C" NOT NULL, \n'
                    '\toutline TEXT COLLATE "C" NOT NULL, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (fingerprint)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_graphs \nWHERE false',
                    {'fingerprint': 'ALTER TABLE gf_place.gf_graphs ADD COLUMN fingerprint TEXT COLLATE "C" NOT NULL',
                     'outline': 'ALTER TABLE gf_place.gf_graphs ADD COLUMN outline TEXT COLLATE "C" NOT NULL',
                     'created_at': 'ALTER TABLE gf_place.gf_graphs ADD COLUMN created_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_media (\n'
                    '\tsha256 BYTEA NOT NULL, \n'
                    '\tmedia_type TEXT COLLATE "C" NOT NULL, \n'
                    '\tdata BYTEA NOT NULL, \n'
                    '\tPRIMARY KEY (sha256)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_media \nWHERE false',
                    {'sha256': 'ALTER TABLE gf_place.gf_media ADD COLUMN sha256 BYTEA NOT NULL',
                     'media_type': 'ALTER TABLE gf_place.gf_media ADD COLUMN media_type TEXT COLLATE "C" NOT NULL',
                     'data': 'ALTER TABLE gf_place.gf_media ADD COLUMN data BYTEA NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_media_uses (\n'
                    '\tsha256 BYTEA NOT NULL, \n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (sha256, session)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_media_uses \nWHERE false',
                    {'sha256': 'ALTER TABLE gf_place.gf_media_uses ADD COLUMN sha256 BYTEA NOT NULL',
                     'session': 'ALTER TABLE gf_place.gf_media_uses ADD COLUMN session BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_memories (\n'
                    '\tordinal BIGSERIAL NOT NULL, \n'
                    '\tmemory_id TEXT COLLATE "C" NOT NULL, \n'
                    '\tuser_id TEXT COLLATE "C" NOT NULL, \n'
                    '\tmemory TEXT COLLATE "C" NOT NULL, \n'
                    '\ttopics TEXT COLLATE "C", \n'
                    '\tversion BIGINT NOT NULL, \n'
                    '\tfact BYTEA NOT NULL, \n'
                    '\trun_id TEXT COLLATE "C", \n'
                    '\tmessage_id TEXT COLLATE "C", \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tupdated_at BIGINT NOT NULL, \n'
                    '\tseal BYTEA, \n'
                    '\tPRIMARY KEY (ordinal), \n'
                    '\tUNIQUE (memory_id), \n'
                    '\tUNIQUE (fact)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_memories \nWHERE false',
                    {'ordinal': 'ALTER TABLE gf_place.gf_memories ADD COLUMN ordinal BIGSERIAL NOT NULL',
                     'memory_id': 'ALTER TABLE gf_place.gf_memories ADD COLUMN memory_id TEXT COLLATE "C" NOT NULL',
                     'user_id': 'ALTER TABLE gf_place.gf_memories ADD COLUMN user_id TEXT COLLATE "C" NOT NULL',
                     'memory': 'ALTER TABLE gf_place.gf_memories ADD COLUMN memory TEXT COLLATE "C" NOT NULL',
                     'topics': 'ALTER TABLE gf_place.gf_memories ADD COLUMN topics TEXT COLLATE "C"',
                     'version': 'ALTER TABLE gf_place.gf_memories ADD COLUMN version BIGINT NOT NULL',
                     'fact': 'ALTER TABLE gf_place.gf_memories ADD COLUMN fact BYTEA NOT NULL',
                     'run_id': 'ALTER TABLE gf_place.gf_memories ADD COLUMN run_id TEXT COLLATE "C"',
                     'message_id': 'ALTER TABLE gf_place.gf_memories ADD COLUMN message_id TEXT COLLATE "C"',
                     'created_at': 'ALTER TABLE gf_place.gf_memories ADD COLUMN created_at BIGINT NOT NULL',
                     'updated_at': 'ALTER TABLE gf_place.gf_memories ADD COLUMN updated_at BIGINT NOT NULL',
                     'seal': 'ALTER TABLE gf_place.gf_memories ADD COLUMN seal BYTEA'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_memory_index (\n'
                    '\towner BIGINT NOT NULL, \n'
                    '\tplace BIGINT NOT NULL, \n'
                    '\tmemory BIGINT NOT NULL, \n'
                    '\tspeaker TEXT COLLATE "C", \n'
                    '\ttimely BIGINT NOT NULL, \n'
                    '\tterms TEXT COLLATE "C" NOT NULL, \n'
                    '\tPRIMARY KEY (owner, place), \n'
                    '\tUNIQUE (memory)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_memory_index \nWHERE false',
                    {'owner': 'ALTER TABLE gf_place.gf_memory_index ADD COLUMN owner BIGINT NOT NULL',
                     'place': 'ALTER TABLE gf_place.gf_memory_index ADD COLUMN place BIGINT NOT NULL',
                     'memory': 'ALTER TABLE gf_place.gf_memory_index ADD COLUMN memory BIGINT NOT NULL',
                     'speaker': 'ALTER TABLE gf_place.gf_memory_index ADD COLUMN speaker TEXT COLLATE "C"',
                     'timely': 'ALTER TABLE gf_place.gf_memory_index ADD COLUMN timely BIGINT NOT NULL',
                     'terms': 'ALTER TABLE gf_place.gf_memory_index ADD COLUMN terms TEXT COLLATE "C" NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_memory_terms (\n'
                    '\towner BIGINT NOT NULL, \n'
                    '\tterm TEXT COLLATE "C" NOT NULL, \n'
                    '\tplace BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (owner, term, place)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_memory_terms \nWHERE false',
                    {'owner': 'ALTER TABLE gf_place.gf_memory_terms ADD COLUMN owner BIGINT NOT NULL',
                     'term': 'ALTER TABLE gf_place.gf_memory_terms ADD COLUMN term TEXT COLLATE "C" NOT NULL',
                     'place': 'ALTER TABLE gf_place.gf_memory_terms ADD COLUMN place BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_messages (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT COLLATE "C" NOT NULL, \n'
                    '\tseq BIGINT NOT NULL, \n'
                    '\trun BIGINT, \n'
                    '\trole TEXT COLLATE "C" NOT NULL, \n'
                    '\tbody TEXT COLLATE "C" NOT NULL, \n'
                    '\tsha256 BYTEA NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, seq)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_messages \nWHERE false',
                    {'session': 'ALTER TABLE gf_place.gf_messages ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_place.gf_messages ADD COLUMN ns TEXT COLLATE "C" NOT NULL',
                     'seq': 'ALTER TABLE gf_place.gf_messages ADD COLUMN seq BIGINT NOT NULL',
                     'run': 'ALTER TABLE gf_place.gf_messages ADD COLUMN run BIGINT',
                     'role': 'ALTER TABLE gf_place.gf_messages ADD COLUMN role TEXT COLLATE "C" NOT NULL',
                     'body': 'ALTER TABLE gf_place.gf_messages ADD COLUMN body TEXT COLLATE "C" NOT NULL',
                     'sha256': 'ALTER TABLE gf_place.gf_messages ADD COLUMN sha256 BYTEA NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_pruned (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT COLLATE "C" NOT NULL, \n'
                    '\tfirst BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_pruned \nWHERE false',
                    {'session': 'ALTER TABLE gf_place.gf_pruned ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_place.gf_pruned ADD COLUMN ns TEXT COLLATE "C" NOT NULL',
                     'first': 'ALTER TABLE gf_place.gf_pruned ADD COLUMN first BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_runs (\n'
                    '\tordinal BIGSERIAL NOT NULL, \n'
                    '\trun_id TEXT COLLATE "C" NOT NULL, \n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT COLLATE "C" NOT NULL, \n'
                    '\tnumber BIGINT NOT NULL, \n'
                    '\tstatus TEXT COLLATE "C" NOT NULL, \n'
                    '\tparent_run_id TEXT COLLATE "C", \n'
                    '\tcomponent_id TEXT COLLATE "C", \n'
                    '\tuser_id TEXT COLLATE "C", \n'
                    '\tinput TEXT COLLATE "C", \n'
                    '\toutput TEXT COLLATE "C", \n'
                    '\tfirst_message BIGINT NOT NULL, \n'
                    '\tlast_message BIGINT, \n'
                    '\tfirst_seq BIGINT, \n'
                    '\tlast_seq BIGINT, \n'
                    '\tfingerprint TEXT COLLATE "C", \n'
                    '\tidempotency_key TEXT COLLATE "C", \n'
                    '\tcancel_requested BIGINT, \n'
                    '\terror TEXT COLLATE "C", \n'
                    '\tmetrics TEXT COLLATE "C", \n'
                    '\tsha256 BYTEA, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tended_at BIGINT, \n'
                    '\tseal BYTEA, \n'
                    '\tPRIMARY KEY (ordinal), \n'
                    '\tCONSTRAINT gf_runs_number UNIQUE (session, ns, number), \n'
                    '\tUNIQUE (run_id)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_runs \nWHERE false',
                    {'ordinal': 'ALTER TABLE gf_place.gf_runs ADD COLUMN ordinal BIGSERIAL NOT NULL',
                     'run_id': 'ALTER TABLE gf_place.gf_runs ADD COLUMN run_id TEXT COLLATE "C" NOT NULL',
                     'session': 'ALTER TABLE gf_place.gf_runs ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_place.gf_runs ADD COLUMN ns TEXT COLLATE "C" NOT NULL',
                     'number': 'ALTER TABLE gf_place.gf_runs ADD COLUMN number BIGINT NOT NULL',
                     'status': 'ALTER TABLE gf_place.gf_runs ADD COLUMN status TEXT COLLATE "C" NOT NULL',
                     'parent_run_id': 'ALTER TABLE gf_place.gf_runs ADD COLUMN parent_run_id TEXT COLLATE "C"',
                     'component_id': 'ALTER TABLE gf_place.gf_runs ADD COLUMN component_id TEXT COLLATE "C"',
                     'user_id': 'ALTER TABLE gf_place.gf_runs ADD COLUMN user_id TEXT COLLATE "C"',
                     'input': 'ALTER TABLE gf_place.gf_runs ADD COLUMN input TEXT COLLATE "C"',
                     'output': 'ALTER TABLE gf_place.gf_runs ADD COLUMN output TEXT COLLATE "C"',
                     'first_message': 'ALTER TABLE gf_place.gf_runs ADD COLUMN first_message BIGINT NOT NULL',
                     'last_message': 'ALTER TABLE gf_place.gf_runs ADD COLUMN last_message BIGINT',
                     'first_seq': 'ALTER TABLE gf_place.gf_runs ADD COLUMN first_seq BIGINT',
                     'last_seq': 'ALTER TABLE gf_place.gf_runs ADD COLUMN last_seq BIGINT',
                     'fingerprint': 'ALTER TABLE gf_place.gf_runs ADD COLUMN fingerprint TEXT COLLATE "C"',
                     'idempotency_key': 'ALTER TABLE gf_place.gf_runs ADD COLUMN idempotency_key TEXT COLLATE "C"',
                     'cancel_requested': 'ALTER TABLE gf_place.gf_runs ADD COLUMN cancel_requested BIGINT',
                     'error': 'ALTER TABLE gf_place.gf_runs ADD COLUMN error TEXT COLLATE "C"',
                     'metrics': 'ALTER TABLE gf_place.gf_runs ADD COLUMN metrics TEXT COLLATE "C"',
                     'sha256': 'ALTER TABLE gf_place.gf_runs ADD COLUMN sha256 BYTEA',
                     'created_at': 'ALTER TABLE gf_place.gf_runs ADD COLUMN created_at BIGINT NOT NULL',
                     'ended_at': 'ALTER TABLE gf_place.gf_runs ADD COLUMN ended_at BIGINT',
                     'seal': 'ALTER TABLE gf_place.gf_runs ADD COLUMN seal BYTEA'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_schema (\n'
                    '\tversion INTEGER NOT NULL, \n'
                    '\tapplied_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (version)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_schema \nWHERE false',
                    {'version': 'ALTER TABLE gf_place.gf_schema ADD COLUMN version INTEGER NOT NULL',
                     'applied_at': 'ALTER TABLE gf_place.gf_schema ADD COLUMN applied_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_sessions (\n'
                    '\tordinal BIGSERIAL NOT NULL, \n'
                    '\tsession_id TEXT COLLATE "C" NOT NULL, \n'
                    '\tsession_type TEXT COLLATE "C" NOT NULL, \n'
                    '\tuser_id TEXT COLLATE "C", \n'
                    '\tcomponent_id TEXT COLLATE "C", \n'
                    '\tname TEXT COLLATE "C", \n'
                    '\tmetadata TEXT COLLATE "C", \n'
                    '\tstatus TEXT COLLATE "C" NOT NULL, \n'
                    '\thead BIGINT NOT NULL, \n'
                    '\tepoch BIGINT NOT NULL, \n'
                    '\tlease_owner TEXT COLLATE "C", \n'
                    '\tlease_until BIGINT, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tupdated_at BIGINT NOT NULL, \n'
                    '\tseal BYTEA, \n'
                    '\ttime_seal BYTEA, \n'
                    '\tPRIMARY KEY (ordinal), \n'
                    '\tUNIQUE (session_id)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_sessions \nWHERE false',
                    {'ordinal': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN ordinal BIGSERIAL NOT NULL',
                     'session_id': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN session_id TEXT COLLATE "C" NOT NULL',
                     'session_type': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN session_type TEXT COLLATE "C" NOT '
                                     'NULL',
                     'user_id': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN user_id TEXT COLLATE "C"',
                     'component_id': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN component_id TEXT COLLATE "C"',
                     'name': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN name TEXT COLLATE "C"',
                     'metadata': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN metadata TEXT COLLATE "C"',
                     'status': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN status TEXT COLLATE "C" NOT NULL',
                     'head': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN head BIGINT NOT NULL',
                     'epoch': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN epoch BIGINT NOT NULL',
                     'lease_owner': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN lease_owner TEXT COLLATE "C"',
                     'lease_until': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN lease_until BIGINT',
                     'created_at': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN created_at BIGINT NOT NULL',
                     'updated_at': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN updated_at BIGINT NOT NULL',
                     'seal': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN seal BYTEA',
                     'time_seal': 'ALTER TABLE gf_place.gf_sessions ADD COLUMN time_seal BYTEA'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_summaries (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT COLLATE "C" NOT NULL, \n'
                    '\tupto_seq BIGINT NOT NULL, \n'
                    '\trun BIGINT, \n'
                    '\tbody TEXT COLLATE "C" NOT NULL, \n'
                    '\tsha256 BYTEA NOT NULL, \n'
                    '\tcreated_at BIGINT NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, upto_seq)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_summaries \nWHERE false',
                    {'session': 'ALTER TABLE gf_place.gf_summaries ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_place.gf_summaries ADD COLUMN ns TEXT COLLATE "C" NOT NULL',
                     'upto_seq': 'ALTER TABLE gf_place.gf_summaries ADD COLUMN upto_seq BIGINT NOT NULL',
                     'run': 'ALTER TABLE gf_place.gf_summaries ADD COLUMN run BIGINT',
                     'body': 'ALTER TABLE gf_place.gf_summaries ADD COLUMN body TEXT COLLATE "C" NOT NULL',
                     'sha256': 'ALTER TABLE gf_place.gf_summaries ADD COLUMN sha256 BYTEA NOT NULL',
                     'created_at': 'ALTER TABLE gf_place.gf_summaries ADD COLUMN created_at BIGINT NOT NULL'}),
                   ('\n'
                    'CREATE TABLE IF NOT EXISTS gf_place.gf_tasks (\n'
                    '\tsession BIGINT NOT NULL, \n'
                    '\tns TEXT COLLATE "C" NOT NULL, \n'
                    '\ttask_id TEXT COLLATE "C" NOT NULL, \n'
                    '\tkind TEXT COLLATE "C" NOT NULL, \n'
                    '\tname TEXT COLLATE "C" NOT NULL, \n'
                    '\tnth BIGINT NOT NULL, \n'
                    '\torigin BIGINT NOT NULL, \n'
                    '\tnode TEXT COLLATE "C" NOT NULL, \n'
                    '\tvalue TEXT COLLATE "C" NOT NULL, \n'
                    '\tsha256 BYTEA NOT NULL, \n'
                    '\tPRIMARY KEY (session, ns, task_id, kind, name, nth)\n'
                    ')\n'
                    '\n',
                    'SELECT * \nFROM gf_place.gf_tasks \nWHERE false',
                    {'session': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN session BIGINT NOT NULL',
                     'ns': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN ns TEXT COLLATE "C" NOT NULL',
                     'task_id': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN task_id TEXT COLLATE "C" NOT NULL',
                     'kind': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN kind TEXT COLLATE "C" NOT NULL',
                     'name': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN name TEXT COLLATE "C" NOT NULL',
                     'nth': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN nth BIGINT NOT NULL',
                     'origin': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN origin BIGINT NOT NULL',
                     'node': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN node TEXT COLLATE "C" NOT NULL',
                     'value': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN value TEXT COLLATE "C" NOT NULL',
                     'sha256': 'ALTER TABLE gf_place.gf_tasks ADD COLUMN sha256 BYTEA NOT NULL'})],
 'delete_checkpoints_below': 'DELETE FROM gf_place.gf_checkpoints WHERE gf_place.gf_checkpoints.session = '
                             '%(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s AND '
                             'gf_place.gf_checkpoints.seq < %(low)s::BIGINT',
 'delete_memories': 'DELETE FROM gf_place.gf_memories WHERE gf_place.gf_memories.user_id = %(user_id)s',
 'delete_memory': 'DELETE FROM gf_place.gf_memories WHERE gf_place.gf_memories.memory_id = %(memory_id)s AND '
                  'gf_place.gf_memories.user_id = %(user_id)s RETURNING gf_place.gf_memories.ordinal',
 'delete_session': ['SELECT gf_place.gf_media.sha256 \n'
                    'FROM gf_place.gf_media \n'
                    'WHERE gf_place.gf_media.sha256 IN (SELECT gf_place.gf_media_uses.sha256 \n'
                    'FROM gf_place.gf_media_uses \n'
                    'WHERE gf_place.gf_media_uses.session = %(session)s::BIGINT) ORDER BY gf_place.gf_media.sha256 FOR '
                    'UPDATE',
                    'DELETE FROM gf_place.gf_media WHERE gf_place.gf_media.sha256 IN (SELECT '
                    'gf_place.gf_media_uses.sha256 \n'
                    'FROM gf_place.gf_media_uses \n'
                    'WHERE gf_place.gf_media_uses.session = %(session)s::BIGINT) AND NOT (EXISTS (SELECT '
                    'other.sha256 \n'
                    'FROM gf_place.gf_media_uses AS other \n'
                    'WHERE other.sha256 = gf_place.gf_media.sha256 AND other.session != %(session)s::BIGINT))',
                    'DELETE FROM gf_place.gf_media_uses WHERE gf_place.gf_media_uses.session = %(session)s::BIGINT',
                    'DELETE FROM gf_place.gf_tasks WHERE gf_place.gf_tasks.session = %(session)s::BIGINT',
                    'DELETE FROM gf_place.gf_checkpoints WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT',
                    'DELETE FROM gf_place.gf_pruned WHERE gf_place.gf_pruned.session = %(session)s::BIGINT',
                    'DELETE FROM gf_place.gf_messages WHERE gf_place.gf_messages.session = %(session)s::BIGINT',
                    'DELETE FROM gf_place.gf_summaries WHERE gf_place.gf_summaries.session = %(session)s::BIGINT',
                    'DELETE FROM gf_place.gf_runs WHERE gf_place.gf_runs.session = %(session)s::BIGINT',
                    'DELETE FROM gf_place.gf_sessions WHERE gf_place.gf_sessions.ordinal = %(session)s::BIGINT'],
 'disused': 'SELECT gf_place.gf_sessions.ordinal \n'
            'FROM gf_place.gf_sessions \n'
            "WHERE gf_place.gf_sessions.ordinal > %(after)s::BIGINT AND (coalesce(%(user_id)s, '') = '' OR "
            "gf_place.gf_sessions.user_id = %(user_id)s) AND (gf_place.gf_sessions.status = 'completed' OR "
            "gf_place.gf_sessions.status = 'error' OR gf_place.gf_sessions.status = 'cancelled') AND "
            'gf_place.gf_sessions.lease_owner IS NULL AND gf_place.gf_sessions.updated_at < %(before)s::BIGINT ORDER '
            'BY gf_place.gf_sessions.ordinal \n'
            ' LIMIT %(count)s::BIGINT OFFSET 0',
 'drop_all_tasks': 'DELETE FROM gf_place.gf_tasks WHERE gf_place.gf_tasks.session = %(session)s::BIGINT',
 'drop_first': 'DELETE FROM gf_place.gf_pruned WHERE gf_place.gf_pruned.session = %(session)s::BIGINT AND '
               'gf_place.gf_pruned.ns = %(ns)s',
 'drop_index': 'DELETE FROM gf_place.gf_memory_index WHERE gf_place.gf_memory_index.memory = %(memory)s::BIGINT '
               'RETURNING gf_place.gf_memory_index.place, gf_place.gf_memory_index.terms',
 'drop_lease_index': 'DROP INDEX IF EXISTS gf_place.gf_sessions_lease',
 'drop_memory': 'DELETE FROM gf_place.gf_memories WHERE gf_place.gf_memories.memory_id = %(memory_id)s AND '
                'gf_place.gf_memories.user_id = %(user_id)s AND gf_place.gf_memories.version = %(version)s::BIGINT '
                'RETURNING gf_place.gf_memories.ordinal',
 'drop_tasks': 'DELETE FROM gf_place.gf_tasks WHERE gf_place.gf_tasks.session = %(session)s::BIGINT AND '
               'gf_place.gf_tasks.ns = %(ns)s',
 'drop_terms': 'DELETE FROM gf_place.gf_memory_terms WHERE gf_place.gf_memory_terms.owner = %(owner)s::BIGINT AND '
               'gf_place.gf_memory_terms.place = %(place)s::BIGINT AND gf_place.gf_memory_terms.term IN (SELECT '
               'value \n'
               'FROM json_array_elements_text(CAST(%(terms)s AS JSON)) AS value)',
 'end': 'WITH moved AS \n'
        '(UPDATE gf_place.gf_sessions SET status=%(session_status)s::VARCHAR COLLATE "C", head=%(new_head)s::BIGINT, '
        'lease_owner=NULL, lease_until=NULL, updated_at=%(now)s::BIGINT, time_seal=%(time_seal)s WHERE '
        'gf_place.gf_sessions.ordinal = %(session)s::BIGINT AND gf_place.gf_sessions.head = %(expected_head)s::BIGINT '
        'AND gf_place.gf_sessions.epoch = %(expected_epoch)s::BIGINT RETURNING gf_place.gf_sessions.ordinal), \n'
        'stored AS \n'
        '(INSERT INTO gf_place.gf_checkpoints (session, ns, seq, run, base, log_head, epoch, frontier, delta, '
        "snapshot, sha256, created_at) SELECT moved.ordinal AS ordinal, '', %(cp_seq)s::BIGINT AS anon_1, "
        '%(run)s::BIGINT AS anon_2, %(cp_base)s::BIGINT AS anon_3, %(cp_log_head)s::BIGINT AS anon_4, '
        '%(cp_epoch)s::BIGINT AS anon_5, %(cp_frontier)s::VARCHAR COLLATE "C" AS anon_6, %(cp_delta)s::VARCHAR COLLATE '
        '"C" AS anon_7, %(cp_snapshot)s::VARCHAR COLLATE "C" AS anon_8, %(cp_sha256)s AS anon_9, '
        '%(cp_created_at)s::BIGINT AS anon_10 \n'
        'FROM moved), \n'
        'said AS \n'
        '(INSERT INTO gf_place.gf_messages (session, ns, run, seq, role, body, sha256) SELECT moved.ordinal AS '
        'ordinal, \'\', %(run)s::BIGINT AS anon_2, "new".seq AS seq, "new".role AS role, "new".body AS body, '
        '"new".sha256 AS sha256 \n'
        'FROM unnest(%(seqs)s::BIGINT[], %(roles)s::TEXT[], %(bodies)s::TEXT[], %(checksums)s::BYTEA[]) AS "new"(seq, '
        'role, body, sha256), moved), \n'
        'closed AS \n'
        '(UPDATE gf_place.gf_runs SET status=%(new_status)s::VARCHAR COLLATE "C", '
        'last_message=%(new_last_message)s::BIGINT, last_seq=%(new_last_seq)s::BIGINT, error=%(new_error)s::VARCHAR '
        'COLLATE "C", metrics=%(new_metrics)s::VARCHAR COLLATE "C", sha256=%(new_sha256)s, '
        'ended_at=%(new_ended_at)s::BIGINT FROM moved WHERE gf_place.gf_runs.run_id = %(run_id)s AND '
        'gf_place.gf_runs.session = moved.ordinal)\n'
        ' SELECT moved.ordinal \n'
        'FROM moved',
 'end_all_leases': 'UPDATE gf_place.gf_sessions SET lease_owner=NULL, lease_until=NULL WHERE '
                   'gf_place.gf_sessions.session_id IN (SELECT value \n'
                   'FROM json_array_elements_text(CAST(%(held)s AS JSON)) AS value) AND '
                   'gf_place.gf_sessions.lease_owner = %(me)s',
 'end_lease': 'UPDATE gf_place.gf_sessions SET lease_owner=NULL, lease_until=NULL WHERE '
              'gf_place.gf_sessions.session_id = %(session_id)s AND gf_place.gf_sessions.lease_owner = %(me)s AND '
              'gf_place.gf_sessions.epoch = %(taken_under)s::BIGINT',
 'fence': 'UPDATE gf_place.gf_sessions SET epoch=(gf_place.gf_sessions.epoch + 1) WHERE gf_place.gf_sessions.ordinal = '
          '%(session)s::BIGINT',
 'fenced': 'SELECT gf_place.gf_sessions.ordinal \n'
           'FROM gf_place.gf_sessions \n'
           'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND gf_place.gf_sessions.epoch = '
           '%(expected_epoch)s::BIGINT FOR SHARE',
 'fenced_alone': 'SELECT gf_place.gf_sessions.ordinal \n'
                 'FROM gf_place.gf_sessions \n'
                 'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND gf_place.gf_sessions.epoch = '
                 '%(expected_epoch)s::BIGINT FOR UPDATE',
 'find_run': 'SELECT gf_place.gf_runs.ordinal \nFROM gf_place.gf_runs \nWHERE gf_place.gf_runs.run_id = %(run_id)s',
 'find_session': 'SELECT gf_place.gf_sessions.ordinal \n'
                 'FROM gf_place.gf_sessions \n'
                 'WHERE gf_place.gf_sessions.session_id = %(session_id)s',
 'first_kept': 'SELECT coalesce((SELECT gf_place.gf_pruned.first \n'
               'FROM gf_place.gf_pruned \n'
               'WHERE gf_place.gf_pruned.session = %(session)s::BIGINT AND gf_place.gf_pruned.ns = %(ns)s), 0) AS '
               'coalesce_1, (SELECT min(gf_place.gf_checkpoints.seq) AS min_1 \n'
               'FROM gf_place.gf_checkpoints \n'
               'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s) '
               'AS anon_1',
 'first_young': 'SELECT gf_place.gf_checkpoints.seq \n'
                'FROM gf_place.gf_checkpoints \n'
                'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s '
                'AND gf_place.gf_checkpoints.created_at >= %(before)s::BIGINT ORDER BY gf_place.gf_checkpoints.seq \n'
                ' LIMIT 1 OFFSET 0',
 'firsts_of_session': 'SELECT gf_place.gf_pruned.ns, gf_place.gf_pruned.first \n'
                      'FROM gf_place.gf_pruned \n'
                      'WHERE gf_place.gf_pruned.session = %(session)s::BIGINT ORDER BY gf_place.gf_pruned.ns',
 'found': 'WITH moved AS \n'
          '(INSERT INTO gf_place.gf_sessions (session_id, session_type, user_id, component_id, status, head, epoch, '
          'lease_owner, created_at, updated_at, seal, time_seal, lease_until) SELECT %(of_session_id)s::VARCHAR '
          'COLLATE "C" AS anon_10, %(of_session_type)s::VARCHAR COLLATE "C" AS anon_11, %(of_user_id)s::VARCHAR '
          'COLLATE "C" AS anon_12, %(of_component_id)s::VARCHAR COLLATE "C" AS anon_13, %(of_status)s::VARCHAR COLLATE '
          '"C" AS anon_14, %(of_head)s::BIGINT AS anon_15, %(of_epoch)s::BIGINT AS anon_16, '
          '%(of_lease_owner)s::VARCHAR COLLATE "C" AS anon_17, %(of_created_at)s::BIGINT AS anon_18, '
          '%(of_updated_at)s::BIGINT AS anon_19, %(of_seal)s AS anon_20, %(of_time_seal)s AS anon_21, '
          'CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + %(of_lease_ttl)s::BIGINT AS anon_22 \n'
          'WHERE NOT (EXISTS (SELECT gf_place.gf_runs.ordinal \n'
          'FROM gf_place.gf_runs \n'
          'WHERE gf_place.gf_runs.run_id = %(run_id)s)) ON CONFLICT DO NOTHING RETURNING '
          'gf_place.gf_sessions.ordinal), \n'
          'began AS \n'
          '(INSERT INTO gf_place.gf_runs (run_id, status, parent_run_id, component_id, user_id, input, first_message, '
          'first_seq, fingerprint, created_at, seal, session, ns, number) SELECT %(run_id)s::VARCHAR COLLATE "C" AS '
          'anon_23, %(status)s::VARCHAR COLLATE "C" AS anon_24, %(parent_run_id)s::VARCHAR COLLATE "C" AS anon_25, '
          '%(component_id)s::VARCHAR COLLATE "C" AS anon_26, %(user_id)s::VARCHAR COLLATE "C" AS anon_27, '
          '%(input)s::VARCHAR COLLATE "C" AS anon_28, %(first_message)s::BIGINT AS anon_29, %(first_seq)s::BIGINT AS '
          'anon_30, %(fingerprint)s::VARCHAR COLLATE "C" AS anon_31, %(created_at)s::BIGINT AS anon_32, %(seal)s AS '
          "anon_33, moved.ordinal AS ordinal, '', 1 \n"
          'FROM moved RETURNING gf_place.gf_runs.ordinal), \n'
          'stored AS \n'
          '(INSERT INTO gf_place.gf_checkpoints (session, ns, seq, run, base, log_head, epoch, frontier, delta, '
          "snapshot, sha256, created_at) SELECT moved.ordinal AS ordinal, '', %(cp_seq)s::BIGINT AS anon_1, "
          'began.ordinal AS ordinal_1, %(cp_base)s::BIGINT AS anon_2, %(cp_log_head)s::BIGINT AS anon_3, '
          '%(cp_epoch)s::BIGINT AS anon_4, %(cp_frontier)s::VARCHAR COLLATE "C" AS anon_5, %(cp_delta)s::VARCHAR '
          'COLLATE "C" AS anon_6, %(cp_snapshot)s::VARCHAR COLLATE "C" AS anon_7, %(cp_sha256)s AS anon_8, '
          '%(cp_created_at)s::BIGINT AS anon_9 \n'
          'FROM moved, began), \n'
          'said AS \n'
          '(INSERT INTO gf_place.gf_messages (session, ns, run, seq, role, body, sha256) SELECT moved.ordinal AS '
          'ordinal, \'\', began.ordinal AS ordinal_1, "new".seq AS seq, "new".role AS role, "new".body AS body, '
          '"new".sha256 AS sha256 \n'
          'FROM unnest(%(seqs)s::BIGINT[], %(roles)s::TEXT[], %(bodies)s::TEXT[], %(checksums)s::BYTEA[]) AS '
          '"new"(seq, role, body, sha256), moved, began)\n'
          ' SELECT moved.ordinal, began.ordinal AS ordinal_1 \n'
          'FROM moved, began',
 'get_graph': 'SELECT gf_place.gf_graphs.outline \n'
              'FROM gf_place.gf_graphs \n'
              'WHERE gf_place.gf_graphs.fingerprint = %(fingerprint)s',
 'get_media': 'SELECT gf_place.gf_media.data \nFROM gf_place.gf_media \nWHERE gf_place.gf_media.sha256 = %(sha256)s',
 'give_up': 'UPDATE gf_place.gf_sessions SET status=%s::VARCHAR COLLATE "C", head=%s::BIGINT, lease_owner=NULL, '
            'lease_until=NULL, updated_at=%s::BIGINT, time_seal=%s WHERE gf_place.gf_sessions.ordinal = %s::BIGINT AND '
            'gf_place.gf_sessions.head = %s::BIGINT AND gf_place.gf_sessions.epoch = %s::BIGINT',
 'has_schema': "SELECT to_regnamespace('gf_place') IS NOT NULL AS anon_1",
 'has_tables': "SELECT to_regclass('gf_place.gf_schema') IS NOT NULL AS anon_1",
 'hold': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.head, gf_place.gf_sessions.epoch, '
         'gf_place.gf_sessions.user_id, gf_place.gf_sessions.lease_owner, gf_place.gf_sessions.lease_until - '
         'CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS lease_left \n'
         'FROM gf_place.gf_sessions \n'
         'WHERE gf_place.gf_sessions.session_id = %(session_id)s FOR UPDATE',
 'hold_of_user': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.head \n'
                 'FROM gf_place.gf_sessions \n'
                 'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (gf_place.gf_sessions.user_id IS NULL OR '
                 'gf_place.gf_sessions.user_id = %(user_id)s) FOR UPDATE',
 'hold_to_prune': 'SELECT gf_place.gf_sessions.head, gf_place.gf_sessions.status, gf_place.gf_sessions.lease_owner, '
                  'gf_place.gf_sessions.session_id \n'
                  'FROM gf_place.gf_sessions \n'
                  'WHERE gf_place.gf_sessions.ordinal = %(session)s::BIGINT FOR UPDATE',
 'index_at': 'SELECT gf_place.gf_memory_index.place, gf_place.gf_memory_index.memory, '
             'gf_place.gf_memory_index.speaker, gf_place.gf_memory_index.timely, gf_place.gf_memory_index.terms \n'
             'FROM gf_place.gf_memory_index \n'
             'WHERE gf_place.gf_memory_index.owner = %(owner)s::BIGINT AND gf_place.gf_memory_index.place IN (SELECT '
             'CAST(value AS BIGINT) AS value \n'
             'FROM json_array_elements_text(CAST(%(places)s AS JSON)) AS value)',
 'index_of': 'SELECT gf_place.gf_memory_index.place, gf_place.gf_memory_index.memory, '
             'gf_place.gf_memory_index.speaker, gf_place.gf_memory_index.timely, gf_place.gf_memory_index.terms \n'
             'FROM gf_place.gf_memory_index \n'
             'WHERE gf_place.gf_memory_index.owner = %(owner)s::BIGINT AND gf_place.gf_memory_index.memory IN (SELECT '
             'CAST(value AS BIGINT) AS value \n'
             'FROM json_array_elements_text(CAST(%(memories)s AS JSON)) AS value)',
 'insert_checkpoint': 'INSERT INTO gf_place.gf_checkpoints (session, ns, seq, run, base, log_head, epoch, frontier, '
                      'delta, snapshot, sha256, created_at) VALUES (%s::BIGINT, %s::VARCHAR COLLATE "C", %s::BIGINT, '
                      '%s::BIGINT, %s::BIGINT, %s::BIGINT, %s::BIGINT, %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE '
                      '"C", %s::VARCHAR COLLATE "C", %s, %s::BIGINT)',
 'insert_graph': 'INSERT INTO gf_place.gf_graphs (fingerprint, outline, created_at) VALUES (%(fingerprint)s::VARCHAR '
                 'COLLATE "C", %(outline)s::VARCHAR COLLATE "C", %(created_at)s::BIGINT) ON CONFLICT DO NOTHING',
 'insert_index': 'INSERT INTO gf_place.gf_memory_index (owner, place, memory, speaker, timely, terms) VALUES '
                 '(%(owner)s::BIGINT, %(place)s::BIGINT, %(memory)s::BIGINT, %(speaker)s::VARCHAR COLLATE "C", '
                 '%(timely)s::BIGINT, %(terms)s::VARCHAR COLLATE "C")',
 'insert_media': 'INSERT INTO gf_place.gf_media (sha256, media_type, data) VALUES (%(sha256)s, %(media_type)s::VARCHAR '
                 'COLLATE "C", %(data)s) ON CONFLICT (sha256) DO UPDATE SET media_type = excluded.media_type',
 'insert_media_use': 'INSERT INTO gf_place.gf_media_uses (sha256, session) VALUES (%(sha256)s, %(session)s::BIGINT) ON '
                     'CONFLICT DO NOTHING',
 'insert_memory': 'INSERT INTO gf_place.gf_memories (memory_id, user_id, memory, topics, version, fact, run_id, '
                  'message_id, created_at, updated_at, seal) VALUES (%(memory_id)s::VARCHAR COLLATE "C", '
                  '%(user_id)s::VARCHAR COLLATE "C", %(memory)s::VARCHAR COLLATE "C", %(topics)s::VARCHAR COLLATE "C", '
                  '1, %(fact)s, %(run_id)s::VARCHAR COLLATE "C", %(message_id)s::VARCHAR COLLATE "C", '
                  '%(created_at)s::BIGINT, %(updated_at)s::BIGINT, %(seal)s) ON CONFLICT DO NOTHING RETURNING '
                  'gf_place.gf_memories.ordinal',
 'insert_message': 'INSERT INTO gf_place.gf_messages (session, ns, seq, run, role, body, sha256) VALUES (%s::BIGINT, '
                   '%s::VARCHAR COLLATE "C", %s::BIGINT, %s::BIGINT, %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", '
                   '%s)',
 'insert_run': 'INSERT INTO gf_place.gf_runs (run_id, session, ns, number, status, parent_run_id, component_id, '
               'user_id, input, first_message, first_seq, fingerprint, idempotency_key, created_at, seal) VALUES '
               '(%s::VARCHAR COLLATE "C", %s::BIGINT, %s::VARCHAR COLLATE "C", (coalesce((SELECT max(others.number) AS '
               'max_1 \n'
               'FROM gf_place.gf_runs AS others \n'
               'WHERE others.session = %s::BIGINT AND others.ns = %s::VARCHAR COLLATE "C"), 0) + 1), %s::VARCHAR '
               'COLLATE "C", %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", %s::VARCHAR '
               'COLLATE "C", %s::BIGINT, %s::BIGINT, %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", %s::BIGINT, %s) '
               'ON CONFLICT DO NOTHING RETURNING gf_place.gf_runs.ordinal',
 'insert_schema_version': 'INSERT INTO gf_place.gf_schema (version, applied_at) VALUES (%(version)s::INTEGER, '
                          '%(applied_at)s::BIGINT)',
 'insert_session': 'INSERT INTO gf_place.gf_sessions (session_id, session_type, user_id, component_id, status, head, '
                   'epoch, lease_owner, lease_until, created_at, updated_at, seal, time_seal) VALUES (%s::VARCHAR '
                   'COLLATE "C", %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", '
                   '%s::VARCHAR COLLATE "C", %s::BIGINT, %s::BIGINT, %s::VARCHAR COLLATE "C", (CAST(EXTRACT(EPOCH FROM '
                   'clock_timestamp()) * 1000000 AS BIGINT) + %s::BIGINT), %s::BIGINT, %s::BIGINT, %s, %s) ON CONFLICT '
                   'DO NOTHING RETURNING gf_place.gf_sessions.ordinal',
 'insert_terms': 'INSERT INTO gf_place.gf_memory_terms (owner, term, place) SELECT CAST(%(owner)s AS BIGINT) AS '
                 'anon_1, value, CAST(%(place)s AS BIGINT) AS anon_2 \n'
                 'FROM json_array_elements_text(CAST(%(terms)s AS JSON)) AS value',
 'key_columns': {'gf_runs': ('ordinal',),
                 'gf_checkpoints': ('session', 'ns', 'seq'),
                 'gf_tasks': ('session', 'ns', 'task_id', 'kind', 'name', 'nth'),
                 'gf_messages': ('session', 'ns', 'seq'),
                 'gf_summaries': ('session', 'ns', 'upto_seq')},
 'landed_checkpoint': 'SELECT gf_place.gf_checkpoints.sha256 \n'
                      'FROM gf_place.gf_sessions JOIN gf_place.gf_checkpoints ON gf_place.gf_checkpoints.session = '
                      'gf_place.gf_sessions.ordinal \n'
                      'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND gf_place.gf_checkpoints.ns = %(ns)s '
                      'AND gf_place.gf_checkpoints.seq = %(seq)s::BIGINT',
 'landed_end': 'SELECT gf_place.gf_runs.status, gf_place.gf_runs.ended_at \n'
               'FROM gf_place.gf_runs \n'
               'WHERE gf_place.gf_runs.run_id = %(run_id)s',
 'landed_take': 'SELECT gf_place.gf_sessions.epoch, gf_place.gf_sessions.updated_at \n'
                'FROM gf_place.gf_sessions \n'
                'WHERE gf_place.gf_sessions.session_id = %(session_id)s',
 'last_message': 'SELECT max(gf_place.gf_messages.seq) AS max_1 \n'
                 'FROM gf_place.gf_messages \n'
                 'WHERE gf_place.gf_messages.session = %(session)s::BIGINT AND gf_place.gf_messages.ns = %(ns)s',
 'last_of_other_run': 'SELECT gf_place.gf_checkpoints.seq \n'
                      'FROM gf_place.gf_checkpoints \n'
                      'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = '
                      '%(ns)s AND (gf_place.gf_checkpoints.run IS NULL OR gf_place.gf_checkpoints.run != '
                      '%(run)s::BIGINT) ORDER BY gf_place.gf_checkpoints.seq DESC \n'
                      ' LIMIT 1 OFFSET 0',
 'last_old': 'SELECT gf_place.gf_checkpoints.seq \n'
             'FROM gf_place.gf_checkpoints \n'
             'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s AND '
             'gf_place.gf_checkpoints.created_at <= %(at)s::BIGINT ORDER BY gf_place.gf_checkpoints.seq DESC \n'
             ' LIMIT 1 OFFSET 0',
 'last_place': 'SELECT max(gf_place.gf_memory_index.place) AS max_1 \n'
               'FROM gf_place.gf_memory_index \n'
               'WHERE gf_place.gf_memory_index.owner = %(owner)s::BIGINT',
 'last_runs': 'SELECT gf_place.gf_runs.session, gf_place.gf_runs.ordinal, gf_place.gf_runs.first_message \n'
              'FROM gf_place.gf_runs \n'
              'WHERE gf_place.gf_runs.session = (SELECT gf_place.gf_sessions.ordinal \n'
              'FROM gf_place.gf_sessions \n'
              "WHERE gf_place.gf_sessions.session_id = %(session_id)s) AND gf_place.gf_runs.ns = '' AND "
              "(gf_place.gf_runs.status = 'completed' OR gf_place.gf_runs.status = 'abandoned') AND "
              'gf_place.gf_runs.parent_run_id IS NULL AND gf_place.gf_runs.first_message < %(before)s::BIGINT ORDER BY '
              'gf_place.gf_runs.number DESC \n'
              ' LIMIT %(count)s::BIGINT OFFSET 0',
 'last_runs_inside': 'SELECT gf_place.gf_runs.session, gf_place.gf_runs.ordinal, gf_place.gf_runs.first_message \n'
                     'FROM gf_place.gf_runs \n'
                     'WHERE gf_place.gf_runs.session = (SELECT gf_place.gf_sessions.ordinal \n'
                     'FROM gf_place.gf_sessions \n'
                     'WHERE gf_place.gf_sessions.session_id = %(session_id)s) AND gf_place.gf_runs.ns = %(ns)s AND '
                     "(gf_place.gf_runs.status = 'completed' OR gf_place.gf_runs.status = 'abandoned') AND "
                     "(gf_place.gf_runs.parent_run_id IS NULL OR gf_place.gf_runs.ns != '' AND NOT (EXISTS (SELECT 1 \n"
                     'FROM gf_place.gf_runs AS around \n'
                     'WHERE around.run_id = gf_place.gf_runs.parent_run_id AND around.session = '
                     "gf_place.gf_runs.session AND (around.status = 'error' OR around.status = 'cancelled')))) AND "
                     'gf_place.gf_runs.first_message < %(before)s::BIGINT ORDER BY gf_place.gf_runs.number DESC \n'
                     ' LIMIT %(count)s::BIGINT OFFSET 0',
 'latest_summary': 'SELECT gf_place.gf_summaries.upto_seq, gf_place.gf_summaries.body, gf_place.gf_summaries.sha256 \n'
                   'FROM gf_place.gf_sessions JOIN gf_place.gf_summaries ON gf_place.gf_summaries.session = '
                   'gf_place.gf_sessions.ordinal \n'
                   "WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (coalesce(%(user_id)s, '') = '' OR "
                   'gf_place.gf_sessions.user_id = %(user_id)s) AND gf_place.gf_summaries.ns = %(ns)s ORDER BY '
                   'gf_place.gf_summaries.upto_seq DESC \n'
                   ' LIMIT 1 OFFSET 0',
 'load_all_tasks': 'SELECT gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, gf_place.gf_tasks.node, '
                   'gf_place.gf_tasks.kind, gf_place.gf_tasks.name, gf_place.gf_tasks.nth, gf_place.gf_tasks.origin, '
                   'gf_place.gf_tasks.value, gf_place.gf_tasks.sha256 \n'
                   'FROM gf_place.gf_tasks \n'
                   'WHERE gf_place.gf_tasks.session = %(session)s::BIGINT ORDER BY gf_place.gf_tasks.ns, '
                   'gf_place.gf_tasks.task_id, gf_place.gf_tasks.kind, gf_place.gf_tasks.name, gf_place.gf_tasks.nth',
 'load_at': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.session_type, gf_place.gf_sessions.user_id, '
            'gf_place.gf_sessions.component_id AS made_by, gf_place.gf_sessions.name, gf_place.gf_sessions.metadata, '
            'gf_place.gf_sessions.created_at, gf_place.gf_sessions.seal, gf_place.gf_sessions.status, '
            'gf_place.gf_sessions.head AS head, gf_place.gf_sessions.epoch, gf_place.gf_runs.run_id, '
            'gf_place.gf_runs.status AS status_1, gf_place.gf_runs.first_message, gf_place.gf_runs.fingerprint, '
            'gf_place.gf_runs.component_id, gf_place.gf_runs.metrics, gf_place.gf_sessions.lease_owner, '
            'gf_place.gf_sessions.lease_until - CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS '
            'lease_left, gf_place.gf_checkpoints.seq, gf_place.gf_checkpoints.base \n'
            'FROM gf_place.gf_sessions LEFT OUTER JOIN gf_place.gf_checkpoints ON gf_place.gf_checkpoints.session = '
            'gf_place.gf_sessions.ordinal AND gf_place.gf_checkpoints.ns = %(ns)s AND gf_place.gf_checkpoints.seq = '
            '%(at)s::BIGINT LEFT OUTER JOIN gf_place.gf_runs ON gf_place.gf_runs.ordinal = '
            'gf_place.gf_checkpoints.run \n'
            'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (gf_place.gf_sessions.user_id IS NULL OR '
            'gf_place.gf_sessions.user_id = %(user_id)s)',
 'load_finished': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.session_type, '
                  'gf_place.gf_sessions.user_id, gf_place.gf_sessions.component_id AS made_by, '
                  'gf_place.gf_sessions.name, gf_place.gf_sessions.metadata, gf_place.gf_sessions.created_at, '
                  'gf_place.gf_sessions.seal, gf_place.gf_sessions.status, gf_place.gf_sessions.head AS head, '
                  'gf_place.gf_sessions.epoch, gf_place.gf_runs.run_id, gf_place.gf_runs.status AS status_1, '
                  'gf_place.gf_runs.first_message, gf_place.gf_runs.fingerprint, gf_place.gf_runs.component_id, '
                  'gf_place.gf_runs.metrics, NULL AS anon_1, NULL AS anon__1, gf_place.gf_checkpoints.seq, '
                  'gf_place.gf_checkpoints.base, gf_place.gf_checkpoints.log_head, gf_place.gf_checkpoints.epoch AS '
                  'epoch_1, gf_place.gf_checkpoints.frontier, gf_place.gf_checkpoints.delta, '
                  'gf_place.gf_checkpoints.snapshot, gf_place.gf_checkpoints.created_at AS created_at_1, '
                  'gf_place.gf_checkpoints.sha256, gf_place.gf_checkpoints.run \n'
                  'FROM gf_place.gf_sessions JOIN gf_place.gf_checkpoints ON gf_place.gf_checkpoints.session = '
                  "gf_place.gf_sessions.ordinal AND gf_place.gf_checkpoints.ns = '' AND gf_place.gf_checkpoints.seq = "
                  'gf_place.gf_sessions.head LEFT OUTER JOIN gf_place.gf_runs ON gf_place.gf_runs.ordinal = '
                  'gf_place.gf_checkpoints.run \n'
                  'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (gf_place.gf_sessions.user_id IS NULL OR '
                  'gf_place.gf_sessions.user_id = %(user_id)s)',
 'load_head': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.session_type, gf_place.gf_sessions.user_id, '
              'gf_place.gf_sessions.component_id AS made_by, gf_place.gf_sessions.name, gf_place.gf_sessions.metadata, '
              'gf_place.gf_sessions.created_at, gf_place.gf_sessions.seal, gf_place.gf_sessions.status, '
              'gf_place.gf_sessions.head AS head, gf_place.gf_sessions.epoch, gf_place.gf_runs.run_id, '
              'gf_place.gf_runs.status AS status_1, gf_place.gf_runs.first_message, gf_place.gf_runs.fingerprint, '
              'gf_place.gf_runs.component_id, gf_place.gf_runs.metrics, gf_place.gf_sessions.lease_owner, '
              'gf_place.gf_sessions.lease_until - CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS '
              'lease_left, gf_place.gf_checkpoints.seq, gf_place.gf_checkpoints.base \n'
              'FROM gf_place.gf_sessions LEFT OUTER JOIN gf_place.gf_checkpoints ON gf_place.gf_checkpoints.session = '
              'gf_place.gf_sessions.ordinal AND gf_place.gf_checkpoints.ns = %(ns)s AND gf_place.gf_checkpoints.seq = '
              'gf_place.gf_sessions.head LEFT OUTER JOIN gf_place.gf_runs ON gf_place.gf_runs.ordinal = '
              'gf_place.gf_checkpoints.run \n'
              'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (gf_place.gf_sessions.user_id IS NULL OR '
              'gf_place.gf_sessions.user_id = %(user_id)s)',
 'load_head_as_admin': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_checkpoints.seq, '
                       'gf_place.gf_checkpoints.base \n'
                       'FROM gf_place.gf_sessions LEFT OUTER JOIN gf_place.gf_checkpoints ON '
                       'gf_place.gf_checkpoints.session = gf_place.gf_sessions.ordinal AND gf_place.gf_checkpoints.ns '
                       '= %(ns)s AND gf_place.gf_checkpoints.seq = gf_place.gf_sessions.head \n'
                       "WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (coalesce(%(user_id)s, '') = '' OR "
                       'gf_place.gf_sessions.user_id = %(user_id)s)',
 'load_nested': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.session_type, gf_place.gf_sessions.user_id, '
                'gf_place.gf_sessions.component_id AS made_by, gf_place.gf_sessions.name, '
                'gf_place.gf_sessions.metadata, gf_place.gf_sessions.created_at, gf_place.gf_sessions.seal, '
                'gf_place.gf_sessions.status, gf_place.gf_sessions.head AS head, gf_place.gf_sessions.epoch, '
                'gf_place.gf_runs.run_id, gf_place.gf_runs.status AS status_1, gf_place.gf_runs.first_message, '
                'gf_place.gf_runs.fingerprint, gf_place.gf_runs.component_id, gf_place.gf_runs.metrics, '
                'gf_place.gf_sessions.lease_owner, gf_place.gf_sessions.lease_until - CAST(EXTRACT(EPOCH FROM '
                'clock_timestamp()) * 1000000 AS BIGINT) AS lease_left, gf_place.gf_checkpoints.seq, '
                'gf_place.gf_checkpoints.base \n'
                'FROM gf_place.gf_sessions LEFT OUTER JOIN gf_place.gf_checkpoints ON gf_place.gf_checkpoints.session '
                '= gf_place.gf_sessions.ordinal AND gf_place.gf_checkpoints.ns = %(ns)s AND '
                'gf_place.gf_checkpoints.seq = (SELECT max(newest.seq) AS max_1 \n'
                'FROM gf_place.gf_checkpoints AS newest \n'
                'WHERE newest.session = gf_place.gf_sessions.ordinal AND newest.ns = %(ns)s::VARCHAR COLLATE "C") LEFT '
                'OUTER JOIN gf_place.gf_runs ON gf_place.gf_runs.ordinal = gf_place.gf_checkpoints.run \n'
                'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (gf_place.gf_sessions.user_id IS NULL OR '
                'gf_place.gf_sessions.user_id = %(user_id)s)',
 'load_tasks': 'SELECT gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, gf_place.gf_tasks.node, '
               'gf_place.gf_tasks.kind, gf_place.gf_tasks.name, gf_place.gf_tasks.nth, gf_place.gf_tasks.origin, '
               'gf_place.gf_tasks.value, gf_place.gf_tasks.sha256 \n'
               'FROM gf_place.gf_tasks \n'
               'WHERE gf_place.gf_tasks.session = %(session)s::BIGINT AND gf_place.gf_tasks.ns = %(ns)s ORDER BY '
               'gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, gf_place.gf_tasks.kind, gf_place.gf_tasks.name, '
               'gf_place.gf_tasks.nth',
 'lock_schema': 'SELECT pg_advisory_xact_lock(7450747586985749605) AS pg_advisory_xact_lock_1',
 'lock_user': 'SELECT pg_advisory_xact_lock(CAST(%(key)s AS BIGINT)) AS pg_advisory_xact_lock_1',
 'log_head': 'SELECT (SELECT gf_place.gf_checkpoints.log_head \n'
             'FROM gf_place.gf_checkpoints \n'
             'WHERE gf_place.gf_checkpoints.session = gf_place.gf_sessions.ordinal AND gf_place.gf_checkpoints.ns = '
             '%(ns)s ORDER BY gf_place.gf_checkpoints.seq DESC \n'
             ' LIMIT 1 OFFSET 0) AS known, (SELECT gf_place.gf_messages.seq \n'
             'FROM gf_place.gf_messages \n'
             'WHERE gf_place.gf_messages.session = gf_place.gf_sessions.ordinal AND gf_place.gf_messages.ns = %(ns)s '
             'ORDER BY gf_place.gf_messages.seq DESC \n'
             ' LIMIT 1 OFFSET 0) AS last \n'
             'FROM gf_place.gf_sessions \n'
             'WHERE gf_place.gf_sessions.session_id = %(session_id)s',
 'log_of_runs': 'SELECT gf_place.gf_sessions.ordinal, (SELECT min(anon_2.first_message) AS min_1 \n'
                'FROM (SELECT gf_place.gf_runs.first_message AS first_message \n'
                'FROM gf_place.gf_runs \n'
                'WHERE gf_place.gf_runs.session = gf_place.gf_sessions.ordinal AND gf_place.gf_runs.ns = %(ns)s AND '
                "(gf_place.gf_runs.ns != '' OR gf_place.gf_runs.parent_run_id IS NULL) ORDER BY "
                'gf_place.gf_runs.number DESC \n'
                ' LIMIT %(count)s::BIGINT OFFSET 0) AS anon_2) AS anon_1, (SELECT gf_place.gf_checkpoints.log_head \n'
                'FROM gf_place.gf_checkpoints \n'
                'WHERE gf_place.gf_checkpoints.session = gf_place.gf_sessions.ordinal AND gf_place.gf_checkpoints.ns = '
                '%(ns)s ORDER BY gf_place.gf_checkpoints.seq DESC \n'
                ' LIMIT 1 OFFSET 0) AS known, (SELECT gf_place.gf_messages.seq \n'
                'FROM gf_place.gf_messages \n'
                'WHERE gf_place.gf_messages.session = gf_place.gf_sessions.ordinal AND gf_place.gf_messages.ns = '
                '%(ns)s ORDER BY gf_place.gf_messages.seq DESC \n'
                ' LIMIT 1 OFFSET 0) AS last \n'
                'FROM gf_place.gf_sessions \n'
                "WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (coalesce(%(user_id)s, '') = '' OR "
                'gf_place.gf_sessions.user_id = %(user_id)s)',
 'log_range': 'SELECT gf_place.gf_messages.seq, gf_place.gf_messages.role, gf_place.gf_messages.body, '
              'gf_place.gf_messages.sha256, (SELECT gf_place.gf_runs.run_id \n'
              'FROM gf_place.gf_runs \n'
              'WHERE gf_place.gf_runs.ordinal = gf_place.gf_messages.run) AS anon_1, gf_place.gf_messages.run \n'
              'FROM gf_place.gf_messages \n'
              'WHERE gf_place.gf_messages.session = %(session)s::BIGINT AND gf_place.gf_messages.ns = %(ns)s AND '
              'gf_place.gf_messages.seq BETWEEN %(low)s::BIGINT AND %(high)s::BIGINT ORDER BY gf_place.gf_messages.seq',
 'log_since': 'SELECT gf_place.gf_messages.seq, gf_place.gf_messages.role, gf_place.gf_messages.body, '
              'gf_place.gf_messages.sha256, its.run_id, gf_place.gf_messages.run, its.counts \n'
              'FROM gf_place.gf_messages LEFT OUTER JOIN LATERAL (SELECT gf_place.gf_runs.run_id AS run_id, '
              "(gf_place.gf_runs.status = 'completed' OR gf_place.gf_runs.status = 'abandoned') AND "
              "(gf_place.gf_runs.parent_run_id IS NULL OR gf_place.gf_runs.ns != '' AND NOT (EXISTS (SELECT 1 \n"
              'FROM gf_place.gf_runs AS around \n'
              'WHERE around.run_id = gf_place.gf_runs.parent_run_id AND around.session = gf_place.gf_runs.session AND '
              "(around.status = 'error' OR around.status = 'cancelled')))) AND gf_place.gf_runs.first_message < "
              '%(before)s::BIGINT AS counts \n'
              'FROM gf_place.gf_runs \n'
              'WHERE gf_place.gf_runs.ordinal = gf_place.gf_messages.run\n'
              ' LIMIT ALL OFFSET 0) AS its ON true \n'
              'WHERE gf_place.gf_messages.session = (SELECT gf_place.gf_sessions.ordinal \n'
              'FROM gf_place.gf_sessions \n'
              'WHERE gf_place.gf_sessions.session_id = %(session_id)s) AND gf_place.gf_messages.ns = %(ns)s AND '
              'gf_place.gf_messages.seq >= %(low)s::BIGINT AND gf_place.gf_messages.seq < %(before)s::BIGINT ORDER BY '
              'gf_place.gf_messages.seq',
 'log_spaces': 'SELECT DISTINCT gf_place.gf_messages.ns \n'
               'FROM gf_place.gf_messages \n'
               'WHERE gf_place.gf_messages.session = %(session)s::BIGINT ORDER BY gf_place.gf_messages.ns',
 'log_times': 'SELECT gf_place.gf_checkpoints.seq, coalesce(gf_place.gf_checkpoints.log_head, 0) AS coalesce_1, '
              'gf_place.gf_checkpoints.created_at, gf_place.gf_checkpoints.run \n'
              'FROM gf_place.gf_checkpoints \n'
              "WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = '' ORDER "
              'BY gf_place.gf_checkpoints.seq',
 'media_used': 'SELECT gf_place.gf_media_uses.sha256, gf_place.gf_media.media_type, gf_place.gf_media.data \n'
               'FROM gf_place.gf_media_uses LEFT OUTER JOIN gf_place.gf_media ON gf_place.gf_media_uses.sha256 = '
               'gf_place.gf_media.sha256 \n'
               'WHERE gf_place.gf_media_uses.session = %(session)s::BIGINT ORDER BY gf_place.gf_media_uses.sha256',
 'memories_at': 'SELECT gf_place.gf_memories.ordinal, gf_place.gf_memories.memory_id, gf_place.gf_memories.memory, '
                'gf_place.gf_memories.topics, gf_place.gf_memories.user_id, gf_place.gf_memories.run_id, '
                'gf_place.gf_memories.created_at, gf_place.gf_memories.updated_at, gf_place.gf_memories.message_id, '
                'gf_place.gf_memories.version, gf_place.gf_memories.seal \n'
                'FROM gf_place.gf_memories \n'
                'WHERE gf_place.gf_memories.ordinal IN (SELECT CAST(value AS BIGINT) AS value \n'
                'FROM json_array_elements_text(CAST(%(ordinals)s AS JSON)) AS value)',
 'memory_begun': 'SELECT gf_place.gf_memories.created_at \n'
                 'FROM gf_place.gf_memories \n'
                 'WHERE gf_place.gf_memories.memory_id = %(memory_id)s AND gf_place.gf_memories.user_id = %(user_id)s '
                 'AND gf_place.gf_memories.version = %(version)s::BIGINT',
 'memory_of_fact': 'SELECT gf_place.gf_memories.memory_id \n'
                   'FROM gf_place.gf_memories \n'
                   'WHERE gf_place.gf_memories.fact = %(fact)s',
 'memory_topics': 'SELECT gf_place.gf_memories.ordinal, gf_place.gf_memories.topics \n'
                  'FROM gf_place.gf_memories \n'
                  'WHERE gf_place.gf_memories.user_id = %(user_id)s AND gf_place.gf_memories.topics IS NOT NULL',
 'newest_memories': 'SELECT gf_place.gf_memories.ordinal, gf_place.gf_memories.memory_id, gf_place.gf_memories.memory, '
                    'gf_place.gf_memories.topics, gf_place.gf_memories.user_id, gf_place.gf_memories.run_id, '
                    'gf_place.gf_memories.created_at, gf_place.gf_memories.updated_at, '
                    'gf_place.gf_memories.message_id, gf_place.gf_memories.version, gf_place.gf_memories.seal \n'
                    'FROM gf_place.gf_memories \n'
                    'WHERE gf_place.gf_memories.user_id = %(user_id)s ORDER BY gf_place.gf_memories.updated_at DESC, '
                    'gf_place.gf_memories.ordinal DESC \n'
                    ' LIMIT %(count)s::BIGINT OFFSET 0',
 'next_snapshot': 'SELECT gf_place.gf_checkpoints.seq \n'
                  'FROM gf_place.gf_checkpoints \n'
                  'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns = %(ns)s '
                  'AND gf_place.gf_checkpoints.seq >= %(low)s::BIGINT AND gf_place.gf_checkpoints.base = '
                  'gf_place.gf_checkpoints.seq ORDER BY gf_place.gf_checkpoints.seq \n'
                  ' LIMIT 1 OFFSET 0',
 'ordinals_of_user': 'SELECT gf_place.gf_sessions.ordinal \n'
                     'FROM gf_place.gf_sessions \n'
                     'WHERE gf_place.gf_sessions.user_id = %(user_id)s ORDER BY gf_place.gf_sessions.ordinal FOR '
                     'UPDATE',
 'orphans': {'gf_runs': 'SELECT count(*) AS count_1 \n'
                        'FROM gf_place.gf_runs \n'
                        'WHERE (gf_place.gf_runs.session NOT IN (SELECT gf_place.gf_sessions.ordinal \n'
                        'FROM gf_place.gf_sessions))',
             'gf_checkpoints': 'SELECT count(*) AS count_1 \n'
                               'FROM gf_place.gf_checkpoints \n'
                               'WHERE (gf_place.gf_checkpoints.session NOT IN (SELECT gf_place.gf_sessions.ordinal \n'
                               'FROM gf_place.gf_sessions))',
             'gf_pruned': 'SELECT count(*) AS count_1 \n'
                          'FROM gf_place.gf_pruned \n'
                          'WHERE (gf_place.gf_pruned.session NOT IN (SELECT gf_place.gf_sessions.ordinal \n'
                          'FROM gf_place.gf_sessions))',
             'gf_tasks': 'SELECT count(*) AS count_1 \n'
                         'FROM gf_place.gf_tasks \n'
                         'WHERE (gf_place.gf_tasks.session NOT IN (SELECT gf_place.gf_sessions.ordinal \n'
                         'FROM gf_place.gf_sessions))',
             'gf_messages': 'SELECT count(*) AS count_1 \n'
                            'FROM gf_place.gf_messages \n'
                            'WHERE (gf_place.gf_messages.session NOT IN (SELECT gf_place.gf_sessions.ordinal \n'
                            'FROM gf_place.gf_sessions))',
             'gf_summaries': 'SELECT count(*) AS count_1 \n'
                             'FROM gf_place.gf_summaries \n'
                             'WHERE (gf_place.gf_summaries.session NOT IN (SELECT gf_place.gf_sessions.ordinal \n'
                             'FROM gf_place.gf_sessions))',
             'gf_media_uses': 'SELECT count(*) AS count_1 \n'
                              'FROM gf_place.gf_media_uses \n'
                              'WHERE (gf_place.gf_media_uses.session NOT IN (SELECT gf_place.gf_sessions.ordinal \n'
                              'FROM gf_place.gf_sessions))'},
 'places_of': 'SELECT gf_place.gf_memory_terms.place \n'
              'FROM gf_place.gf_memory_terms \n'
              'WHERE gf_place.gf_memory_terms.owner = %(owner)s::BIGINT AND gf_place.gf_memory_terms.term = %(term)s '
              'ORDER BY gf_place.gf_memory_terms.place DESC \n'
              ' LIMIT %(count)s::BIGINT OFFSET 0',
 'prunable': 'SELECT gf_place.gf_sessions.ordinal \n'
             'FROM gf_place.gf_sessions \n'
             "WHERE gf_place.gf_sessions.ordinal > %(after)s::BIGINT AND (coalesce(%(user_id)s, '') = '' OR "
             'gf_place.gf_sessions.user_id = %(user_id)s) AND (EXISTS (SELECT gf_place.gf_checkpoints.seq \n'
             'FROM gf_place.gf_checkpoints \n'
             'WHERE gf_place.gf_checkpoints.session = gf_place.gf_sessions.ordinal AND (gf_place.gf_checkpoints.ns != '
             "'' OR gf_place.gf_checkpoints.seq <= gf_place.gf_sessions.head - %(keep)s::BIGINT) AND "
             'gf_place.gf_checkpoints.created_at < %(before)s::BIGINT)) ORDER BY gf_place.gf_sessions.ordinal \n'
             ' LIMIT %(count)s::BIGINT OFFSET 0',
 'pruned_here': 'SELECT gf_place.gf_pruned.first \n'
                'FROM gf_place.gf_sessions JOIN gf_place.gf_pruned ON gf_place.gf_pruned.session = '
                'gf_place.gf_sessions.ordinal \n'
                "WHERE gf_place.gf_sessions.session_id = %(session_id)s AND gf_place.gf_pruned.ns = ''",
 'put_first': 'INSERT INTO gf_place.gf_pruned (session, ns, first) VALUES (%(session)s::BIGINT, %(ns)s::VARCHAR '
              'COLLATE "C", %(first)s::BIGINT) ON CONFLICT (session, ns) DO UPDATE SET first = excluded.first',
 'put_summary': 'INSERT INTO gf_place.gf_summaries (session, ns, upto_seq, run, body, sha256, created_at) VALUES '
                '(%(session)s::BIGINT, %(ns)s::VARCHAR COLLATE "C", %(upto_seq)s::BIGINT, %(run)s::BIGINT, '
                '%(body)s::VARCHAR COLLATE "C", %(sha256)s, %(created_at)s::BIGINT) ON CONFLICT (session, ns, '
                'upto_seq) DO UPDATE SET run = excluded.run, body = excluded.body, sha256 = excluded.sha256, '
                'created_at = excluded.created_at',
 'put_task': 'INSERT INTO gf_place.gf_tasks (session, ns, task_id, kind, name, nth, origin, node, value, sha256) '
             'VALUES (%s::BIGINT, %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", '
             '%s::VARCHAR COLLATE "C", %s::BIGINT, %s::BIGINT, %s::VARCHAR COLLATE "C", %s::VARCHAR COLLATE "C", %s) '
             'ON CONFLICT (session, ns, task_id, kind, name, nth) DO UPDATE SET origin = excluded.origin, node = '
             'excluded.node, value = excluded.value, sha256 = excluded.sha256',
 'rebase': 'UPDATE gf_place.gf_checkpoints SET base=%(new_base)s::BIGINT, snapshot=%(new_snapshot)s::VARCHAR COLLATE '
           '"C", sha256=%(new_sha256)s WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND '
           'gf_place.gf_checkpoints.ns = %(ns)s AND gf_place.gf_checkpoints.seq = %(of)s::BIGINT',
 'rename': 'UPDATE gf_place.gf_sessions SET name=%(new_name)s::VARCHAR COLLATE "C", updated_at=%(now)s::BIGINT, '
           'seal=%(new_seal)s, time_seal=%(time_seal)s WHERE gf_place.gf_sessions.ordinal = %(of)s::BIGINT',
 'renew_leases': 'UPDATE gf_place.gf_sessions SET lease_until=(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS '
                 'BIGINT) + %(lease_ttl)s::BIGINT) WHERE gf_place.gf_sessions.session_id IN (SELECT value \n'
                 'FROM json_array_elements_text(CAST(%(held)s AS JSON)) AS value) AND gf_place.gf_sessions.lease_owner '
                 '= %(me)s',
 'reopen_run': "UPDATE gf_place.gf_runs SET status='running', cancel_requested=NULL, error=NULL, sha256=NULL, "
               'ended_at=NULL WHERE gf_place.gf_runs.run_id = %(run_id)s AND gf_place.gf_runs.session = '
               '%(session)s::BIGINT',
 'request_cancel': 'UPDATE gf_place.gf_runs SET cancel_requested=%(now)s::BIGINT WHERE gf_place.gf_runs.run_id = '
                   "%(run_id)s AND gf_place.gf_runs.status = 'running' RETURNING gf_place.gf_runs.ordinal",
 'root_runs': 'SELECT gf_place.gf_runs.run_id, gf_place.gf_sessions.session_id, gf_place.gf_runs.ns, '
              'gf_place.gf_runs.number, gf_place.gf_runs.status, gf_place.gf_runs.parent_run_id, '
              'gf_place.gf_runs.user_id, gf_place.gf_runs.component_id, gf_place.gf_runs.last_message, '
              'gf_place.gf_runs.last_seq, gf_place.gf_runs.error, gf_place.gf_runs.metrics, gf_place.gf_runs.sha256, '
              'gf_place.gf_runs.created_at, gf_place.gf_runs.ended_at, gf_place.gf_runs.first_message, '
              'gf_place.gf_runs.first_seq, gf_place.gf_runs.fingerprint, gf_place.gf_runs.idempotency_key, '
              'gf_place.gf_runs.seal, gf_place.gf_sessions.lease_owner, gf_place.gf_sessions.lease_until - '
              'CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS lease_left \n'
              'FROM gf_place.gf_sessions JOIN gf_place.gf_runs ON gf_place.gf_runs.session = '
              'gf_place.gf_sessions.ordinal \n'
              "WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (coalesce(%(user_id)s, '') = '' OR "
              "gf_place.gf_sessions.user_id = %(user_id)s) AND gf_place.gf_runs.ns = '' AND "
              'gf_place.gf_runs.parent_run_id IS NULL ORDER BY gf_place.gf_runs.number DESC \n'
              ' LIMIT %(count)s::BIGINT OFFSET 0',
 'row_at': {'gf_runs': 'SELECT gf_place.gf_runs.ordinal, gf_place.gf_runs.run_id, gf_place.gf_runs.session, '
                       'gf_place.gf_runs.ns, gf_place.gf_runs.number, gf_place.gf_runs.status, '
                       'gf_place.gf_runs.parent_run_id, gf_place.gf_runs.component_id, gf_place.gf_runs.user_id, '
                       'gf_place.gf_runs.input, gf_place.gf_runs.output, gf_place.gf_runs.first_message, '
                       'gf_place.gf_runs.last_message, gf_place.gf_runs.first_seq, gf_place.gf_runs.last_seq, '
                       'gf_place.gf_runs.fingerprint, gf_place.gf_runs.idempotency_key, '
                       'gf_place.gf_runs.cancel_requested, gf_place.gf_runs.error, gf_place.gf_runs.metrics, '
                       'gf_place.gf_runs.sha256, gf_place.gf_runs.created_at, gf_place.gf_runs.ended_at, '
                       'gf_place.gf_runs.seal \n'
                       'FROM gf_place.gf_runs \n'
                       'WHERE gf_place.gf_runs.ordinal = %(ordinal)s::BIGINT',
            'gf_checkpoints': 'SELECT gf_place.gf_checkpoints.session, gf_place.gf_checkpoints.ns, '
                              'gf_place.gf_checkpoints.seq, gf_place.gf_checkpoints.run, gf_place.gf_checkpoints.base, '
                              'gf_place.gf_checkpoints.log_head, gf_place.gf_checkpoints.epoch, '
                              'gf_place.gf_checkpoints.frontier, gf_place.gf_checkpoints.delta, '
                              'gf_place.gf_checkpoints.snapshot, gf_place.gf_checkpoints.sha256, '
                              'gf_place.gf_checkpoints.created_at \n'
                              'FROM gf_place.gf_checkpoints \n'
                              'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND '
                              'gf_place.gf_checkpoints.ns = %(ns)s AND gf_place.gf_checkpoints.seq = %(seq)s::BIGINT',
            'gf_tasks': 'SELECT gf_place.gf_tasks.session, gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, '
                        'gf_place.gf_tasks.kind, gf_place.gf_tasks.name, gf_place.gf_tasks.nth, '
                        'gf_place.gf_tasks.origin, gf_place.gf_tasks.node, gf_place.gf_tasks.value, '
                        'gf_place.gf_tasks.sha256 \n'
                        'FROM gf_place.gf_tasks \n'
                        'WHERE gf_place.gf_tasks.session = %(session)s::BIGINT AND gf_place.gf_tasks.ns = %(ns)s AND '
                        'gf_place.gf_tasks.task_id = %(task_id)s AND gf_place.gf_tasks.kind = %(kind)s AND '
                        'gf_place.gf_tasks.name = %(name)s AND gf_place.gf_tasks.nth = %(nth)s::BIGINT',
            'gf_messages': 'SELECT gf_place.gf_messages.session, gf_place.gf_messages.ns, gf_place.gf_messages.seq, '
                           'gf_place.gf_messages.run, gf_place.gf_messages.role, gf_place.gf_messages.body, '
                           'gf_place.gf_messages.sha256 \n'
                           'FROM gf_place.gf_messages \n'
                           'WHERE gf_place.gf_messages.session = %(session)s::BIGINT AND gf_place.gf_messages.ns = '
                           '%(ns)s AND gf_place.gf_messages.seq = %(seq)s::BIGINT',
            'gf_summaries': 'SELECT gf_place.gf_summaries.session, gf_place.gf_summaries.ns, '
                            'gf_place.gf_summaries.upto_seq, gf_place.gf_summaries.run, gf_place.gf_summaries.body, '
                            'gf_place.gf_summaries.sha256, gf_place.gf_summaries.created_at \n'
                            'FROM gf_place.gf_summaries \n'
                            'WHERE gf_place.gf_summaries.session = %(session)s::BIGINT AND gf_place.gf_summaries.ns = '
                            '%(ns)s AND gf_place.gf_summaries.upto_seq = %(upto_seq)s::BIGINT'},
 'row_keys': {'gf_runs': 'SELECT gf_place.gf_runs.ordinal \n'
                         'FROM gf_place.gf_runs \n'
                         'WHERE gf_place.gf_runs.session = %(session)s::BIGINT ORDER BY gf_place.gf_runs.ordinal',
              'gf_checkpoints': 'SELECT gf_place.gf_checkpoints.session, gf_place.gf_checkpoints.ns, '
                                'gf_place.gf_checkpoints.seq \n'
                                'FROM gf_place.gf_checkpoints \n'
                                'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT ORDER BY '
                                'gf_place.gf_checkpoints.session, gf_place.gf_checkpoints.ns, '
                                'gf_place.gf_checkpoints.seq',
              'gf_tasks': 'SELECT gf_place.gf_tasks.session, gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, '
                          'gf_place.gf_tasks.kind, gf_place.gf_tasks.name, gf_place.gf_tasks.nth \n'
                          'FROM gf_place.gf_tasks \n'
                          'WHERE gf_place.gf_tasks.session = %(session)s::BIGINT ORDER BY gf_place.gf_tasks.session, '
                          'gf_place.gf_tasks.ns, gf_place.gf_tasks.task_id, gf_place.gf_tasks.kind, '
                          'gf_place.gf_tasks.name, gf_place.gf_tasks.nth',
              'gf_messages': 'SELECT gf_place.gf_messages.session, gf_place.gf_messages.ns, gf_place.gf_messages.seq \n'
                             'FROM gf_place.gf_messages \n'
                             'WHERE gf_place.gf_messages.session = %(session)s::BIGINT ORDER BY '
                             'gf_place.gf_messages.session, gf_place.gf_messages.ns, gf_place.gf_messages.seq',
              'gf_summaries': 'SELECT gf_place.gf_summaries.session, gf_place.gf_summaries.ns, '
                              'gf_place.gf_summaries.upto_seq \n'
                              'FROM gf_place.gf_summaries \n'
                              'WHERE gf_place.gf_summaries.session = %(session)s::BIGINT ORDER BY '
                              'gf_place.gf_summaries.session, gf_place.gf_summaries.ns, '
                              'gf_place.gf_summaries.upto_seq'},
 'run_by_id': 'SELECT gf_place.gf_runs.run_id, gf_place.gf_sessions.session_id, gf_place.gf_runs.ns, '
              'gf_place.gf_runs.number, gf_place.gf_runs.status, gf_place.gf_runs.parent_run_id, '
              'gf_place.gf_runs.user_id, gf_place.gf_runs.component_id, gf_place.gf_runs.last_message, '
              'gf_place.gf_runs.last_seq, gf_place.gf_runs.error, gf_place.gf_runs.metrics, gf_place.gf_runs.sha256, '
              'gf_place.gf_runs.created_at, gf_place.gf_runs.ended_at, gf_place.gf_runs.first_message, '
              'gf_place.gf_runs.first_seq, gf_place.gf_runs.fingerprint, gf_place.gf_runs.idempotency_key, '
              'gf_place.gf_runs.seal, gf_place.gf_sessions.lease_owner, gf_place.gf_sessions.lease_until - '
              'CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS lease_left \n'
              'FROM gf_place.gf_sessions JOIN gf_place.gf_runs ON gf_place.gf_runs.session = '
              'gf_place.gf_sessions.ordinal \n'
              "WHERE gf_place.gf_runs.run_id = %(run_id)s AND (coalesce(%(user_id)s, '') = '' OR "
              'gf_place.gf_sessions.user_id = %(user_id)s)',
 'run_of_key': 'SELECT gf_place.gf_runs.run_id, gf_place.gf_sessions.session_id, gf_place.gf_runs.status, '
               'gf_place.gf_runs.input, gf_place.gf_runs.last_seq, gf_place.gf_runs.metrics \n'
               'FROM gf_place.gf_sessions JOIN gf_place.gf_runs ON gf_place.gf_runs.session = '
               'gf_place.gf_sessions.ordinal \n'
               "WHERE coalesce(gf_place.gf_runs.component_id, '') = coalesce(%(component_id)s, '') AND "
               "coalesce(gf_place.gf_runs.user_id, '') = coalesce(%(user_id)s, '') AND "
               'gf_place.gf_runs.idempotency_key = %(idempotency_key)s',
 'run_range': 'SELECT gf_place.gf_sessions.session_id, gf_place.gf_sessions.ordinal, gf_place.gf_runs.ns, '
              'gf_place.gf_runs.first_message, gf_place.gf_runs.last_message, gf_place.gf_runs.ordinal AS ordinal_1 \n'
              'FROM gf_place.gf_sessions JOIN gf_place.gf_runs ON gf_place.gf_runs.session = '
              'gf_place.gf_sessions.ordinal \n'
              "WHERE gf_place.gf_runs.run_id = %(run_id)s AND (coalesce(%(user_id)s, '') = '' OR "
              'gf_place.gf_sessions.user_id = %(user_id)s)',
 'run_standing': 'SELECT gf_place.gf_sessions.session_id, gf_place.gf_runs.status, gf_place.gf_sessions.lease_owner, '
                 'gf_place.gf_sessions.lease_until - CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) '
                 'AS lease_left, gf_place.gf_sessions.user_id IS NULL OR gf_place.gf_sessions.user_id = %(user_id)s AS '
                 'may \n'
                 'FROM gf_place.gf_sessions JOIN gf_place.gf_runs ON gf_place.gf_runs.session = '
                 'gf_place.gf_sessions.ordinal \n'
                 'WHERE gf_place.gf_runs.run_id = %(run_id)s',
 'run_times': 'SELECT gf_place.gf_runs.ordinal, gf_place.gf_runs.created_at \n'
              'FROM gf_place.gf_runs \n'
              'WHERE gf_place.gf_runs.session = %(session)s::BIGINT',
 'runs_of_session': 'SELECT gf_place.gf_runs.ordinal, gf_place.gf_runs.run_id, gf_place.gf_runs.status, '
                    'gf_place.gf_runs.first_message, gf_place.gf_runs.fingerprint, gf_place.gf_runs.component_id \n'
                    'FROM gf_place.gf_runs \n'
                    'WHERE gf_place.gf_runs.session = %(session)s::BIGINT',
 'runs_with_members': 'SELECT gf_place.gf_runs.run_id, gf_place.gf_sessions.session_id, gf_place.gf_runs.ns, '
                      'gf_place.gf_runs.number, gf_place.gf_runs.status, gf_place.gf_runs.parent_run_id, '
                      'gf_place.gf_runs.user_id, gf_place.gf_runs.component_id, gf_place.gf_runs.last_message, '
                      'gf_place.gf_runs.last_seq, gf_place.gf_runs.error, gf_place.gf_runs.metrics, '
                      'gf_place.gf_runs.sha256, gf_place.gf_runs.created_at, gf_place.gf_runs.ended_at, '
                      'gf_place.gf_runs.first_message, gf_place.gf_runs.first_seq, gf_place.gf_runs.fingerprint, '
                      'gf_place.gf_runs.idempotency_key, gf_place.gf_runs.seal, gf_place.gf_sessions.lease_owner, '
                      'gf_place.gf_sessions.lease_until - CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS '
                      'BIGINT) AS lease_left \n'
                      'FROM gf_place.gf_sessions JOIN gf_place.gf_runs ON gf_place.gf_runs.session = '
                      'gf_place.gf_sessions.ordinal \n'
                      "WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (coalesce(%(user_id)s, '') = '' OR "
                      'gf_place.gf_sessions.user_id = %(user_id)s) ORDER BY gf_place.gf_runs.created_at DESC, '
                      'gf_place.gf_runs.ordinal DESC \n'
                      ' LIMIT %(count)s::BIGINT OFFSET 0',
 'say': 'WITH moved AS \n'
        '(UPDATE gf_place.gf_sessions SET head=%(new_head)s::BIGINT WHERE gf_place.gf_sessions.ordinal = '
        '%(session)s::BIGINT AND gf_place.gf_sessions.head = %(expected_head)s::BIGINT AND gf_place.gf_sessions.epoch '
        '= %(expected_epoch)s::BIGINT RETURNING gf_place.gf_sessions.ordinal), \n'
        'stored AS \n'
        '(INSERT INTO gf_place.gf_checkpoints (session, ns, seq, run, base, log_head, epoch, frontier, delta, '
        "snapshot, sha256, created_at) SELECT moved.ordinal AS ordinal, '', %(cp_seq)s::BIGINT AS anon_1, "
        '%(run)s::BIGINT AS anon_2, %(cp_base)s::BIGINT AS anon_3, %(cp_log_head)s::BIGINT AS anon_4, '
        '%(cp_epoch)s::BIGINT AS anon_5, %(cp_frontier)s::VARCHAR COLLATE "C" AS anon_6, %(cp_delta)s::VARCHAR COLLATE '
        '"C" AS anon_7, %(cp_snapshot)s::VARCHAR COLLATE "C" AS anon_8, %(cp_sha256)s AS anon_9, '
        '%(cp_created_at)s::BIGINT AS anon_10 \n'
        'FROM moved), \n'
        'said AS \n'
        '(INSERT INTO gf_place.gf_messages (session, ns, run, seq, role, body, sha256) SELECT moved.ordinal AS '
        'ordinal, \'\', %(run)s::BIGINT AS anon_2, "new".seq AS seq, "new".role AS role, "new".body AS body, '
        '"new".sha256 AS sha256 \n'
        'FROM unnest(%(seqs)s::BIGINT[], %(roles)s::TEXT[], %(bodies)s::TEXT[], %(checksums)s::BYTEA[]) AS "new"(seq, '
        'role, body, sha256), moved)\n'
        ' SELECT moved.ordinal \n'
        'FROM moved',
 'schema_version': 'SELECT max(gf_place.gf_schema.version) AS max_1 \nFROM gf_place.gf_schema',
 'seal_session': 'UPDATE gf_place.gf_sessions SET seal=%(new_seal)s WHERE gf_place.gf_sessions.ordinal = '
                 '%(session)s::BIGINT',
 'session_ordinals': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.session_id \n'
                     'FROM gf_place.gf_sessions ORDER BY gf_place.gf_sessions.ordinal',
 'session_row': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.session_id, '
                'gf_place.gf_sessions.session_type, gf_place.gf_sessions.user_id, gf_place.gf_sessions.component_id, '
                'gf_place.gf_sessions.name, gf_place.gf_sessions.metadata, gf_place.gf_sessions.status, '
                'gf_place.gf_sessions.head AS head, gf_place.gf_sessions.epoch, gf_place.gf_sessions.lease_owner, '
                'gf_place.gf_sessions.lease_until, gf_place.gf_sessions.created_at, gf_place.gf_sessions.updated_at, '
                'gf_place.gf_sessions.seal, gf_place.gf_sessions.time_seal \n'
                'FROM gf_place.gf_sessions \n'
                'WHERE gf_place.gf_sessions.ordinal = %(session)s::BIGINT',
 'session_sizes': ['SELECT count(*) AS count_1, coalesce(sum(0 + '
                   'coalesce(octet_length(gf_place.gf_checkpoints.frontier), 0) + '
                   'coalesce(octet_length(gf_place.gf_checkpoints.delta), 0) + '
                   'coalesce(octet_length(gf_place.gf_checkpoints.snapshot), 0)), 0) AS coalesce_1 \n'
                   'FROM gf_place.gf_checkpoints \n'
                   'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT',
                   'SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(octet_length(gf_place.gf_messages.body), '
                   '0)), 0) AS coalesce_1 \n'
                   'FROM gf_place.gf_messages \n'
                   'WHERE gf_place.gf_messages.session = %(session)s::BIGINT',
                   'SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(octet_length(gf_place.gf_tasks.value), 0)), '
                   '0) AS coalesce_1 \n'
                   'FROM gf_place.gf_tasks \n'
                   'WHERE gf_place.gf_tasks.session = %(session)s::BIGINT',
                   'SELECT count(*) AS count_1, coalesce(sum(0 + coalesce(octet_length(gf_place.gf_summaries.body), '
                   '0)), 0) AS coalesce_1 \n'
                   'FROM gf_place.gf_summaries \n'
                   'WHERE gf_place.gf_summaries.session = %(session)s::BIGINT'],
 'spaces_of_checkpoints': 'SELECT gf_place.gf_checkpoints.ns, max(gf_place.gf_checkpoints.seq) AS max_1, '
                          'max(gf_place.gf_checkpoints.created_at) AS max_2 \n'
                          'FROM gf_place.gf_checkpoints \n'
                          'WHERE gf_place.gf_checkpoints.session = %(session)s::BIGINT AND gf_place.gf_checkpoints.ns '
                          "!= '' GROUP BY gf_place.gf_checkpoints.ns ORDER BY gf_place.gf_checkpoints.ns",
 'standing': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.head, gf_place.gf_sessions.epoch, '
             'gf_place.gf_sessions.user_id, gf_place.gf_sessions.lease_owner, gf_place.gf_sessions.lease_until - '
             'CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS lease_left \n'
             'FROM gf_place.gf_sessions \n'
             'WHERE gf_place.gf_sessions.session_id = %(session_id)s',
 'standing_of_user': 'SELECT gf_place.gf_sessions.ordinal, gf_place.gf_sessions.head \n'
                     'FROM gf_place.gf_sessions \n'
                     'WHERE gf_place.gf_sessions.session_id = %(session_id)s AND (gf_place.gf_sessions.user_id IS NULL '
                     'OR gf_place.gf_sessions.user_id = %(user_id)s)',
 'step': 'WITH "new" AS \n'
         '(SELECT %s::VARCHAR COLLATE "C" AS ns, %s::BIGINT AS run, %s::BIGINT AS base, %s::BIGINT AS log_head, '
         '%s::BIGINT AS epoch, %s::VARCHAR COLLATE "C" AS frontier, %s::VARCHAR COLLATE "C" AS delta, %s::VARCHAR '
         'COLLATE "C" AS snapshot, %s AS sha256, %s::BIGINT AS created_at), \n'
         'turn AS \n'
         '(UPDATE gf_place.gf_sessions SET head=(gf_place.gf_sessions.head + 1) WHERE gf_place.gf_sessions.head = '
         '%s::BIGINT AND gf_place.gf_sessions.ordinal = %s::BIGINT AND gf_place.gf_sessions.epoch = %s::BIGINT '
         'RETURNING gf_place.gf_sessions.head, gf_place.gf_sessions.ordinal)\n'
         ' INSERT INTO gf_place.gf_checkpoints (ns, run, base, log_head, epoch, frontier, delta, snapshot, sha256, '
         'created_at, seq, session) SELECT "new".ns, "new".run, "new".base, "new".log_head, "new".epoch, '
         '"new".frontier, "new".delta, "new".snapshot, "new".sha256, "new".created_at, turn.head, turn.ordinal \n'
         'FROM "new", turn',
 'still_disused': 'SELECT gf_place.gf_sessions.session_id, gf_place.gf_sessions.updated_at, '
                  'gf_place.gf_sessions.time_seal \n'
                  'FROM gf_place.gf_sessions \n'
                  'WHERE gf_place.gf_sessions.ordinal = %(session)s::BIGINT AND gf_place.gf_sessions.lease_owner IS '
                  "NULL AND gf_place.gf_sessions.status != 'running' AND gf_place.gf_sessions.updated_at < "
                  '%(before)s::BIGINT FOR UPDATE',
 'take': 'UPDATE gf_place.gf_sessions SET user_id=coalesce(gf_place.gf_sessions.user_id, %(owner)s), '
         'status=coalesce(%(new_status)s, gf_place.gf_sessions.status), head=%(new_head)s::BIGINT, '
         'epoch=(gf_place.gf_sessions.epoch + 1), lease_owner=%(lease_owner)s::VARCHAR COLLATE "C", '
         'lease_until=(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + %(lease_ttl)s::BIGINT), '
         'updated_at=%(now)s::BIGINT, time_seal=%(time_seal)s WHERE gf_place.gf_sessions.session_id = %(session_id)s '
         'AND gf_place.gf_sessions.head = %(expected_head)s::BIGINT AND gf_place.gf_sessions.epoch = '
         '%(expected_epoch)s::BIGINT AND (gf_place.gf_sessions.lease_owner IS NULL OR gf_place.gf_sessions.lease_until '
         '< CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) OR gf_place.gf_sessions.lease_owner = '
         '%(me)s OR gf_place.gf_sessions.lease_owner = %(dead)s) RETURNING gf_place.gf_sessions.ordinal, '
         'gf_place.gf_sessions.session_id, gf_place.gf_sessions.session_type, gf_place.gf_sessions.user_id, '
         'gf_place.gf_sessions.component_id, gf_place.gf_sessions.name, gf_place.gf_sessions.metadata, '
         'gf_place.gf_sessions.created_at, gf_place.gf_sessions.seal',
 'take_own': 'UPDATE gf_place.gf_sessions SET status=coalesce(%s, gf_place.gf_sessions.status), head=%s::BIGINT, '
             'epoch=(gf_place.gf_sessions.epoch + 1), lease_owner=%s::VARCHAR COLLATE "C", '
             'lease_until=(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + %s::BIGINT), '
             'updated_at=%s::BIGINT, time_seal=%s WHERE gf_place.gf_sessions.ordinal = %s::BIGINT AND '
             'gf_place.gf_sessions.head = %s::BIGINT AND gf_place.gf_sessions.epoch = %s::BIGINT AND '
             'gf_place.gf_sessions.user_id IS NOT DISTINCT FROM %s::VARCHAR AND gf_place.gf_sessions.seal IS NOT NULL '
             'AND (gf_place.gf_sessions.lease_owner IS NULL OR gf_place.gf_sessions.lease_until < CAST(EXTRACT(EPOCH '
             'FROM clock_timestamp()) * 1000000 AS BIGINT) OR gf_place.gf_sessions.lease_owner = %s)',
 'unindexed_memories': 'SELECT gf_place.gf_memories.ordinal, gf_place.gf_memories.user_id, '
                       'gf_place.gf_memories.memory \n'
                       'FROM gf_place.gf_memories \n'
                       'WHERE (gf_place.gf_memories.ordinal NOT IN (SELECT gf_place.gf_memory_index.memory \n'
                       'FROM gf_place.gf_memory_index)) ORDER BY gf_place.gf_memories.ordinal'}
)
