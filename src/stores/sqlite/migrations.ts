// The tables of the store of consumers, as the steps that lead from each version to the next. A step is never changed, only added.

/** Each takes the file from the version that is its place in this list to the next one. */
export const migrations: readonly string[] = [
  `
  CREATE TABLE plans (
    name TEXT PRIMARY KEY,
    limits TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE consumers (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE,
    groups TEXT NOT NULL,
    labels TEXT NOT NULL,
    plan TEXT NOT NULL,
    limits TEXT NOT NULL
  ) STRICT;
  CREATE INDEX consumers_plan ON consumers (plan) WHERE plan <> '';

  CREATE TABLE applications (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    consumer INTEGER NOT NULL REFERENCES consumers (seq) ON DELETE CASCADE,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    UNIQUE (consumer, name)
  ) STRICT;

  CREATE TABLE credentials (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    lookup TEXT NOT NULL,
    consumer INTEGER NOT NULL REFERENCES consumers (seq) ON DELETE CASCADE,
    application INTEGER REFERENCES applications (seq) ON DELETE CASCADE,
    verifier TEXT NOT NULL,
    hint TEXT NOT NULL,
    scopes TEXT NOT NULL,
    labels TEXT NOT NULL,
    expires_ms INTEGER,
    revoked_ms INTEGER,
    created_ms INTEGER NOT NULL,
    UNIQUE (kind, lookup)
  ) STRICT;
  CREATE INDEX credentials_consumer ON credentials (consumer);
  CREATE INDEX credentials_application ON credentials (application) WHERE application IS NOT NULL;

  -- Apart from the credentials, so that noting a use changes nothing that workers hold.
  CREATE TABLE uses (
    credential TEXT PRIMARY KEY,
    used_ms INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE denials (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    list TEXT NOT NULL,
    value TEXT NOT NULL,
    note TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (list, value)
  ) STRICT;

  -- What workers must forget: topic \`all\`, \`credential\` (kind:lookup), \`consumer\` (name or id), \`denials\`.
  CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    topic TEXT NOT NULL,
    subject TEXT NOT NULL
  ) STRICT;
  `,
]
