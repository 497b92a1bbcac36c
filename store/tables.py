"""The tables of the ledger's database. Times are UTC; a secret stands only in ``vault``, encrypted.

A changed table needs a new file in ``store/migrations/versions``, by which an older database is known; it makes what is new by itself.
"""

from functools import partial

from sqlalchemy import JSON, Column, Index, MetaData

from store import columns
from store.columns import counted, days, default, documents, flags, fractions, key, moments, numbered, numbers, optional, sealed, texts

metadata = MetaData()
table = partial(columns.table, metadata)

# --- Effects, and who may act ------------------------------------------------------------------------------------------------

# One row per effect on the world. done_at empty: begun, and perhaps it happened. holder and held_until: who is at it now. unknown: how often
# the outside system answered with an error that we do not know.
effects = table(
    "effects",
    counted("number"),
    texts(subject=512, key=255, system=64, act=64, summary=0),
    moments("as_of", "begun_at"),
    numbers("attempts"),
    optional(moments("done_at", "held_until"), documents("receipt"), texts(holder=255), numbers("unknown")),
    Index("effects_once", "subject", "key", unique=True),
    Index("effects_in_order", "as_of", "number"),
)

# One row for each system that is held. kind: it said wait, or it is down. probed_at: somebody asks it now.
holds = table("holds", key(system=320), texts(kind=8), moments("until"), optional(moments("probed_at")))

# Who may do what now, by name. A row that was left by a process that died is good until then.
turns = table("turns", key(name=255), texts(holder=64), moments("until"))

# One row, which readiness writes: a database that only reads, or has no room, is not ready.
readiness = table("readiness", numbered("id"), moments("at"))

# --- Trials ------------------------------------------------------------------------------------------------------------------

# Which host is whose. domain is empty for an instance that is nobody's yet; kind: pending, warm, reserved, trial or production.
# internal: the name below our own domain that an instance keeps when it moves to a customer's host; our programs call it there only.
# confirmed_at: when the admin first opened the link in their mail.
instances = table(
    "instances",
    key(host=253),
    texts(subject=512, kind=16),
    moments("created_at"),
    default("", texts(admin=254)),
    optional(texts(internal=253, domain=254), moments("claimed_at", "confirmed_at")),
    Index("instances_one_per_domain", "domain", unique=True),  # an empty domain is no duplicate of another
    Index("instances_by_kind", "kind", "created_at"),
)

# Our own people, as the CRM has them. last_assigned_at is ours: the round robin's memory, by the real clock.
roster = table(
    "roster",
    key(id=64),
    texts(name=255, email=254, role=32),
    flags("active"),
    optional(days("out_of_office_until"), texts(paired_ce=64, manager=64), moments("last_assigned_at")),
    Index("ix_roster_email", "email"),
    Index("ix_roster_role", "role"),
)

# Companies, as the CRM has them, by registrable domain.
accounts = table(
    "accounts",
    key(domain=253),
    default("", texts(id=64)),
    texts(name=255),
    flags("named", "prequalified"),
    optional(texts(named_sdr=64, ae=64, ce=64)),
    moments("as_of"),
)

# Domains that wait for capacity, longest first. named_at: when a release told it that there is room.
waiting = table("waiting", key(domain=254), texts(subject=512), moments("since"), optional(moments("named_at")))

# Which owners a subject got, so that asking again gives the same.
assignments = table("assignments", key(subject=512), documents("owners"), moments("as_of"))

# Whose campaign mail is held back, and why.
suppressions = table("suppressions", key(subject=512), texts(why=0), moments("at"))

# Signups that the form could not take (A21), for the rescue.
failed_signups = table(
    "failed_signups",
    key(id=64),
    texts(email=254, problem=0),
    documents("data"),
    moments("at"),
    optional(moments("rescued_at")),
    Index("ix_failed_signups_email", "email"),
)

# What a prospect answered to the feedback mail (A18).
feedback = table(
    "feedback", key(id=64), texts(subject=512, domain=254), documents("data"), moments("at"), Index("ix_feedback_subject", "subject")
)

# The generic trial keys (A24): where the vault has each, and until when it is good; the newest number is the current one.
cohorts = table(
    "cohorts",
    counted("number"),
    texts(subject=512, key=255, vault=64, subscription=255),
    numbers("seats"),
    documents("tags"),
    moments("rotated_at", "expires_at"),
    Index("cohorts_once", "subject", "key", unique=True),
)

# --- Secrets and people ------------------------------------------------------------------------------------------------------

vault = table("vault", key(ref=64), texts(kind=32, note=0), sealed("value"), moments("created_at"), optional(moments("expires_at")))

# token_hash: SHA-256 of the token, so that reading this table opens nothing. ref: a value of the vault, or the trial whose admin's reset link
# is made when it is opened.
share_links = table(
    "share_links",
    key(token_hash=64),
    texts(ref=64, to_email=254),
    moments("created_at", "expires_at"),
    optional(moments("opened_at")),
)

# One row per person outside of our own staff and key of theirs (docs/personal-data.md). who: a keyed hash of the address. wrapped: the
# person's key, encrypted with ring_key of the ring; names: what they are called, encrypted with their key. Erased: both are gone for good.
people = table(
    "people",
    key(ref=32),
    texts(who=64),
    numbers("generation"),
    moments("made_at"),
    optional(sealed("wrapped", "names"), texts(ring_key=64), moments("erased_at")),
    Index("people_once", "who", "generation", unique=True),
)

# --- Who did what, and who may -----------------------------------------------------------------------------------------------

# One row per decision of a person, and per attempt that was refused; each holds the hash of the row before. store/audit.py
# The database itself refuses to change what is on it (migrations/versions/v0001); whoever gets round that is found by the chain.
audit = table(
    "audit",
    numbered("number"),
    moments("at"),
    texts(who=254, role=32, via=16, through=120, what=0, subject=512, outcome=16, reason=0, rule=120, rules=64, event=200),
    texts(prev=64, hash=64),
    Index("audit_by_event", "event", "subject"),
    Index("audit_by_subject", "subject", "number"),
    info={"append_only": True},
)

# How many rows the audit has and the hash of the last, so that a tail that was cut off is missed. One row, id 1.
audit_head = table("audit_head", numbered("id"), numbers("length"), texts(hash=64), info={"append_only": True})

# Tokens of machines and of persons for the API. hash: SHA-256 of the token. role: a group of domain/rights.py, or empty with a person.
service_tokens = table(
    "service_tokens",
    key(name=80),
    texts(hash=64),
    default("", texts(role=32, person=254)),
    moments("created_at"),
    optional(moments("used_at", "revoked_at")),
    Index("service_tokens_by_hash", "hash", unique=True),
)

# Sessions of the console that were signed out before their cookie ended. id: SHA-256 of the session's own id.
ended_sessions = table("ended_sessions", key(id=64), moments("until"), Index("ix_ended_sessions_until", "until"))

# Webhook deliveries that had their effect, by GitHub's id of them or the digest of their bytes.
deliveries = table("deliveries", key(id=120), moments("at"), Index("ix_deliveries_at", "at"))

# --- Customers ---------------------------------------------------------------------------------------------------------------

# Customers, as the CRM has them, by registrable domain. People are CRM user ids; the roster says who they are.
customers = table(
    "customers",
    key(domain=253),
    texts(id=64, name=255),
    default("", texts(segment=32, subscription=255, merged_into=253)),
    default("customer", texts(status=16)),
    default(0, numbers("arr", "seats")),
    optional(days("contract_start", "contract_end", "deployed_on", "last_activity_on"), texts(ta=64, ae=64, ce=64, health=16)),
    optional(documents("data_errors")),
    moments("as_of"),
    Index("customers_by_end", "contract_end"),
)

# The traits that people set in Vitally (D13), as of the last hourly run.
hand_traits = table("hand_traits", key(domain=253), optional(texts(pulse=16), flags("champion", "buyer_access", "red")), moments("as_of"))

# The current health of every account: the last score, the traits that were seen since, and what the account's processes read of it.
health = table(
    "health",
    key(domain=253),
    moments("at"),
    optional(fractions("total")),
    texts(band=16),
    documents("traits", "score", "standing"),
    Index("health_by_band", "band", "domain"),
)

# Every score that differs from the one before: why a band changed can be read for ever.
health_changes = table(
    "health_changes",
    counted("number"),
    texts(domain=253, band=16, band_before=16),
    moments("at"),
    optional(fractions("total")),
    documents("score"),
    Index("health_changes_once", "domain", "at", unique=True),
)

# What the hourly run saw of an account the last time, as short texts that are others when anything in them is: its traits (seen), its total,
# band and colours (scored), what its processes act on (told). facts_at, score_at: since when a signal, or a write to Vitally, is outstanding.
health_news = table(
    "health_news",
    key(domain=253),
    default("", texts(seen=64, scored=64, told=64)),
    optional(moments("facts_at", "score_at"), flags("met")),
    Index("health_news_facts", "facts_at", "domain"),
    Index("health_news_scores", "score_at", "domain"),
)

# The renewals as the forecast and the lists read them (domain.account.account.RenewalRow), by workflow id.
renewals = table(
    "renewals",
    key(workflow=300),
    texts(domain=253, name=255, phase=32, status=16),
    days("renewal_on"),
    numbers("arr"),
    optional(texts(rating=8, outcome=16, ta_outcome=16, system_outcome=16, actual_outcome=16), numbers("amount", "actual_arr")),
    default("", texts(ae=254, ta=254)),
    optional(moments("forecast_at")),
    moments("updated_at"),
    Index("renewals_by_date", "status", "renewal_on"),
    Index("renewals_of", "domain", "renewal_on"),
)

# The weekly snapshots of the forecast: written once, never changed; digest is the SHA-256 of data.
forecasts = table(
    "forecasts",
    counted("number"),
    texts(subject=512, quarter=16, digest=64),
    moments("taken_at"),
    documents("data"),
    default("", texts(note=0)),
    Index("forecasts_once", "subject", "quarter", unique=True),
    Index("forecasts_in_order", "quarter", "taken_at"),
)

# --- What lists read of every process (domain/read_model.py) ------------------------------------------------------------------
# run and version order what is written of one workflow: a run's text begins with its start, a version with the length of its history.

# Where each process stands; one row for each workflow id. status: open or closed.
processes = table(
    "processes",
    key(workflow=400),
    texts(run=64, kind=64, subject=400, stage=64, owner=254, in_words=0, next_what=0, status=8),
    numbers("version"),
    moments("updated_at"),
    optional(moments("next_at", "due_at")),
    Index("processes_by_kind", "kind", "status", "stage"),
)

# What was asked of whom, and what became of it. also: whom the ladder asks beside the assignee. status: open, answered or withdrawn.
tasks = table(
    "tasks",
    key(workflow=400, task=120),
    texts(run=64, subject=400, kind=80, role=32, assignee=254, status=12, answered_by=254, closed_because=0),
    numbers("version", "rung"),
    documents("also", "spec"),
    moments("opened_at", "next_at", "due_at"),
    optional(documents("answer"), moments("closed_at")),
    Index("tasks_by_due", "status", "due_at", "workflow", "task"),
)

# Every decision, once and for ever; number counts those of one run. policy: the hash of the policy that decided. function, inputs: how it is
# made again; none of a row that was made anew from what its process says of itself, until the process tells it once more.
decisions = table(
    "decisions",
    key(workflow=400, run=64),
    numbered("number"),
    texts(subject=400, what=80, outcome=80, rule=0, handbook=80, nearest=0, by=254, policy=64),
    moments("at"),
    documents("facts", "flags"),
    optional(texts(function=120)),
    Column("inputs", JSON(none_as_null=True)),
    Index("decisions_by_what", "what", "outcome", "at"),
)

# Every policy that a process has decided by, by its hash.
policies = table("policies", key(hash=64), documents("figures"))
