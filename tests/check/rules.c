/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules, each a function over the operations or over the rows of the log. */
#include "check/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "check/book.h"

static const char *const rule_names[] = {
#define CHECK_RULE_NAME(name, text) #name,
	CHECK_RULE_MAP(CHECK_RULE_NAME)
#undef CHECK_RULE_NAME
};

static const char *const rule_texts[] = {
#define CHECK_RULE_TEXT(name, text) text,
	CHECK_RULE_MAP(CHECK_RULE_TEXT)
#undef CHECK_RULE_TEXT
};

const char *check_rule_name(enum check_rule rule)
{
	return rule_names[rule];
}

const char *check_rule_text(enum check_rule rule)
{
	return rule_texts[rule];
}

void check_found(struct findings *f, enum check_rule rule, const char *format, ...)
{
	va_list args;
	int head;

	if (f->broken[rule]++ >= 3 || f->n_words == CHECK_WORDS_MAX)
		return;
	head = snprintf(f->words[f->n_words], sizeof(f->words[0]), "%s: ", rule_names[rule]);
	va_start(args, format);
	vsnprintf(f->words[f->n_words] + head, sizeof(f->words[0]) - (size_t)head, format, args);
	va_end(args);
	f->n_words++;
}

uint64_t check_broken(const struct findings *f)
{
	uint64_t sum = 0;

	for (int i = 0; i < CHECK_RULES; i++)
		sum += f->broken[i];
	return sum;
}

/* In seconds, for the words. */
static double since(const struct book *b, int64_t at_ns)
{
	return (double)(at_ns - b->history->begun_ns) / 1e9;
}

/* ---- rows of the log ---- */

/* Neighbours in the order of versions: no gaps, none twice; and each has an author. */
static void judge_rows(const struct book *b, struct findings *f)
{
	for (uint32_t i = 0; i < b->n; i++) {
		const struct entry *e = &b->by_version[i];
		int64_t expected = i > b->first[e->reg] ? e[-1].version + 1 : 1;

		f->judged[RULE_ONE_HISTORY]++;
		f->judged[RULE_GHOST_WRITE]++;
		if (e->version != expected)
			check_found(f, RULE_ONE_HISTORY,
			            "register %u: version %lld comes where %lld should", e->reg,
			            (long long)e->version, (long long)expected);
		if (!e->op)
			check_found(f, RULE_GHOST_WRITE,
			            "register %u, version %lld: nobody wrote value %llx", e->reg,
			            (long long)e->version, (unsigned long long)e->value);
		else if (e->op->outcome == OUTCOME_FAILED)
			check_found(f, RULE_GHOST_WRITE,
			            "register %u, version %lld: its write failed for sure at "
			            "%.3f s, and is there",
			            e->reg, (long long)e->version, since(b, e->op->ended_ns));
	}
}

/* From the highest version down: none begins after the end of a higher one. */
static void judge_order(const struct book *b, struct findings *f)
{
	const struct entry *higher = NULL;

	for (uint32_t i = b->n; i-- > 0;) {
		const struct entry *e = &b->by_version[i];

		if (higher && higher->reg != e->reg)
			higher = NULL;
		if (!e->op)
			continue;
		f->judged[RULE_REAL_TIME]++;
		if (higher && higher->op->ended_ns < e->op->begun_ns)
			check_found(f, RULE_REAL_TIME,
			            "register %u: version %lld began at %.3f s, when %lld had been "
			            "acknowledged",
			            e->reg, (long long)e->version, since(b, e->op->begun_ns),
			            (long long)higher->version);
		if (e->op->outcome == OUTCOME_OK &&
		    (!higher || e->op->ended_ns < higher->op->ended_ns))
			higher = e;
	}
}

/* ---- operations ---- */

static bool is_write(const struct op *op)
{
	return op->kind == OP_WRITE || op->kind == OP_TRANSFER || op->kind == OP_LOCK;
}

static void judge_write(const struct book *b, const struct op *op, struct findings *f)
{
	const struct entry *e = check_entry(b, op->value);

	if (op->outcome != OUTCOME_OK)
		return;
	f->judged[RULE_LOST_WRITE]++;
	if (!e)
		check_found(
			f, RULE_LOST_WRITE,
			"register %u, version %lld, acknowledged by server %u at %.3f s, is gone",
			op->reg, (long long)op->version, op->host, since(b, op->ended_ns));
	else if (e->reg != op->reg || (op->version && e->version != op->version))
		check_found(f, RULE_ONE_HISTORY,
		            "register %u, version %lld was acknowledged; the log says %u, %lld",
		            op->reg, (long long)op->version, e->reg, (long long)e->version);
}

/* Whether a moment is in a fact of this kind about this server; NULL: none. */
static const struct fact *fact_at(const struct history *h, enum fact_kind kind, uint8_t host,
                                  int64_t at_ns)
{
	for (uint32_t i = 0; i < h->n_facts; i++) {
		const struct fact *fact = &h->facts[i];

		if (fact->kind == kind && fact->host == host && at_ns >= fact->from_ns &&
		    at_ns < fact->to_ns)
			return fact;
	}
	return NULL;
}

static void judge_end(const struct book *b, const struct op *op, struct findings *f)
{
	f->judged[RULE_OUTCOME] += op->outcome == OUTCOME_UNKNOWN;
	if (op->outcome == OUTCOME_UNKNOWN && op->phase != PHASE_COMMIT)
		check_found(f, RULE_OUTCOME, "unknown at %.3f s, and no COMMIT was sent",
		            since(b, op->ended_ns));
	if (!is_write(op) || op->phase == PHASE_CHECKOUT)
		return;
	f->judged[RULE_ROLE]++;
	if (op->role != WEIR_ROLE_PRIMARY)
		check_found(f, RULE_ROLE, "a write was given server %u, a %s, at %.3f s", op->host,
		            weir_role_name((weir_role)op->role), since(b, op->begun_ns));
	else if (strcmp(op->sqlstate, "25006") == 0 &&
	         !fact_at(b->history, FACT_READ_ONLY, op->host, op->begun_ns) &&
	         !fact_at(b->history, FACT_READ_ONLY, op->host, op->ended_ns))
		check_found(f, RULE_ROLE, "a write was sent to server %u, a standby, at %.3f s",
		            op->host, since(b, op->begun_ns));
}

/*
 * A write that waited for its connection may have begun before the fence, or in one that is over.
 */
static void judge_fence(const struct book *b, const struct op *op, struct findings *f)
{
	if (!is_write(op) || op->outcome != OUTCOME_OK)
		return;
	f->judged[RULE_FENCED]++;
	if (fact_at(b->history, FACT_FENCED, op->host, op->had_ns))
		check_found(f, RULE_FENCED,
		            "server %u acknowledged a write that came to it at %.3f s, after "
		            "another was promoted in its place",
		            op->host, since(b, op->had_ns));
}

/* A primary that takes no writes counts as either role. */
static void judge_target(const struct book *b, const struct op *op, struct findings *f)
{
	bool primary = op->role == WEIR_ROLE_PRIMARY;

	if (op->target == WEIR_TARGET_DEFAULT || op->phase == PHASE_CHECKOUT ||
	    fact_at(b->history, FACT_READ_ONLY, op->host, op->begun_ns) ||
	    fact_at(b->history, FACT_READ_ONLY, op->host, op->ended_ns))
		return;
	f->judged[RULE_ROLE]++;
	if ((op->target == WEIR_TARGET_PRIMARY && !primary) ||
	    (op->target == WEIR_TARGET_REPLICA && primary))
		check_found(f, RULE_ROLE,
		            "a read that asked for role %u was given server %u, a %s, at %.3f s",
		            op->target, op->host, weir_role_name((weir_role)op->role),
		            since(b, op->begun_ns));
}

/* Version 0 is a register as it was made: no row of the log, no value. */
static void judge_seen(const struct book *b, const struct op *op, struct findings *f)
{
	const struct entry *e = op->version ? check_entry(b, op->value) : NULL;

	f->judged[RULE_TRUE_READ]++;
	if (op->version && (!e || e->reg != op->reg || e->version != op->version))
		check_found(f, RULE_TRUE_READ,
		            "server %u showed register %u in version %lld, value %llx, at %.3f s: "
		            "not in the log",
		            op->host, op->reg, (long long)op->version,
		            (unsigned long long)op->value, since(b, op->ended_ns));
	else if (e && e->op && e->op->begun_ns > op->ended_ns)
		check_found(f, RULE_TRUE_READ, "register %u, version %lld was seen before it began",
		            op->reg, (long long)op->version);
}

/*
 * With synchronous replication a standby may show a commit while the primary still waits for the
 * standby's word, and shows it to nobody. So a read on the primary may miss what was seen on a
 * standby, as long as the first write that it misses has not been acknowledged.
 */
static bool is_on_its_way(const struct book *b, const struct op *op)
{
	uint32_t at = b->first[op->reg] + (uint32_t)op->version; /* versions begin with 1 */

	return op->role == WEIR_ROLE_PRIMARY && at < b->first[op->reg + 1] &&
	       b->by_version[at].version == op->version + 1 && b->by_version[at].op &&
	       (b->by_version[at].op->outcome != OUTCOME_OK ||
	        b->by_version[at].op->ended_ns > op->begun_ns);
}

/* A read of a register, with what it has asked for. */
static void judge_read(const struct book *b, const struct op *op, struct findings *f)
{
	enum check_rule rule = RULE_LOCKED_READ;
	int64_t least;

	judge_seen(b, op, f);
	if (op->kind == OP_LOCK) {
		least = check_acknowledged_before(b, op->reg, op->begun_ns);
	} else if (op->level == LEVEL_LAG) {
		rule = RULE_STALENESS;
		least = check_acknowledged_before(b, op->reg, op->begun_ns - op->max_lag_ns);
	} else if (op->level == LEVEL_TOKEN && op->wants) {
		const struct entry *e = check_entry(b, op->wants);

		rule = RULE_OWN_WRITES;
		least = e ? e->version : 0;
	} else {
		return;
	}
	f->judged[rule]++;
	if (op->version < least && !(rule == RULE_OWN_WRITES && is_on_its_way(b, op)))
		check_found(
			f, rule,
			"server %u (%s) showed register %u in version %lld at %.3f s, where %lld "
			"was due",
			op->host, weir_reason_text((weir_reason)op->reason), op->reg,
			(long long)op->version, since(b, op->begun_ns), (long long)least);
}

static void judge_bank(const struct book *b, const struct op *op, struct findings *f)
{
	f->judged[RULE_BANK]++;
	if (op->total != b->history->total)
		check_found(f, RULE_BANK,
		            "server %u: the accounts sum up to %lld, not %lld, at %.3f s", op->host,
		            (long long)op->total, (long long)b->history->total,
		            since(b, op->begun_ns));
}

/* Who waited for it to be there again has come in time. */
static void judge_away(const struct book *b, const struct op *op, struct findings *f)
{
	const struct fact *away = fact_at(b->history, FACT_AWAY, op->host, op->begun_ns);

	if (op->phase == PHASE_CHECKOUT)
		return;
	f->judged[RULE_AWAY]++;
	if (away && op->had_ns < away->to_ns)
		check_found(
			f, RULE_AWAY,
			"server %u was given by router %u (%s) to one who came at %.3f s: it was "
			"removed",
			op->host, op->router, weir_reason_text((weir_reason)op->reason),
			since(b, op->begun_ns));
}

static void judge_op(const struct book *b, const struct op *op, struct findings *f)
{
	judge_end(b, op, f);
	judge_fence(b, op, f);
	judge_target(b, op, f);
	judge_away(b, op, f);
	switch ((enum op_kind)op->kind) {
	case OP_WRITE:
		judge_write(b, op, f);
		break;
	case OP_READ:
	case OP_LOCK:
		if (op->outcome == OUTCOME_OK)
			judge_read(b, op, f);
		break;
	case OP_BANK:
		if (op->outcome == OUTCOME_OK)
			judge_bank(b, op, f);
		break;
	case OP_TRANSFER:
		break;
	}
}

/* ---- sessions ---- */

/* What a session knows of each register, as it goes on. */
struct knowledge {
	uint32_t session;
	int64_t version[CHECK_REGISTERS];
};

static void judge_session_op(const struct book *b, const struct op *op, struct knowledge *k,
                             struct findings *f)
{
	if (op->session != k->session)
		*k = (struct knowledge){.session = op->session};
	if (op->outcome != OUTCOME_OK || (op->kind != OP_READ && op->kind != OP_WRITE))
		return;
	f->judged[RULE_SESSION]++;
	if (op->version < k->version[op->reg] && !is_on_its_way(b, op))
		check_found(f, RULE_SESSION,
		            "server %u (%s) showed register %u in version %lld at %.3f s; the "
		            "session knew %lld",
		            op->host, weir_reason_text((weir_reason)op->reason), op->reg,
		            (long long)op->version, since(b, op->begun_ns),
		            (long long)k->version[op->reg]);
	if (op->version > k->version[op->reg])
		k->version[op->reg] = op->version;
}

static void judge_sessions(const struct book *b, const struct lane *lane, struct findings *f)
{
	struct knowledge k = {0};

	for (uint32_t i = 0; i < lane->n; i++)
		if (lane->ops[i].session)
			judge_session_op(b, &lane->ops[i], &k, f);
}

/* ---- refusals ---- */

static bool is_refused(const struct op *op, const struct fact *fact, uint8_t router)
{
	return is_write(op) && op->router == router && op->host == fact->host &&
	       strcmp(op->sqlstate, "25006") == 0 && op->ended_ns >= fact->from_ns &&
	       op->begun_ns < fact->to_ns;
}

/* When the first connection that refused came back while this is a fact; INT64_MAX: none did. */
static int64_t first_refusal(const struct history *h, const struct fact *fact, uint8_t router)
{
	int64_t first = INT64_MAX;

	for (uint32_t i = 0; i < h->n_lanes; i++)
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			const struct op *op = &h->lanes[i].ops[k];

			if (is_refused(op, fact, router) && op->back_ns < first)
				first = op->back_ns;
		}
	return first;
}

#define BACKENDS 512

static void judge_refused(const struct book *b, const struct op *op, int64_t first,
                          int32_t seen[BACKENDS], uint32_t *n_seen, struct findings *f)
{
	f->judged[RULE_REFUSED]++;
	f->judged[RULE_REFUSED_ONCE]++;
	if (op->begun_ns > first)
		check_found(f, RULE_REFUSED,
		            "server %u refused a write begun at %.3f s, %.1f ms after the first "
		            "refusal was given back",
		            op->host, since(b, op->begun_ns), (double)(op->begun_ns - first) / 1e6);
	for (uint32_t i = 0; i < *n_seen; i++)
		if (seen[i] == op->backend)
			check_found(f, RULE_REFUSED_ONCE,
			            "the session %d of server %u refused a second write at %.3f s",
			            (int)op->backend, op->host, since(b, op->begun_ns));
	if (*n_seen < BACKENDS)
		seen[(*n_seen)++] = op->backend;
}

/* One router does not know what another has been told. */
static void judge_refusals(const struct book *b, const struct fact *fact, uint8_t router,
                           struct findings *f)
{
	const struct history *h = b->history;
	int64_t first = first_refusal(h, fact, router);
	int32_t seen[BACKENDS];
	uint32_t n_seen = 0;

	if (fact->kind != FACT_READ_ONLY || first == INT64_MAX)
		return;
	for (uint32_t i = 0; i < h->n_lanes; i++)
		for (uint32_t k = 0; k < h->lanes[i].n; k++)
			if (is_refused(&h->lanes[i].ops[k], fact, router))
				judge_refused(b, &h->lanes[i].ops[k], first, seen, &n_seen, f);
}

void check_rules(const struct history *h, struct findings *f)
{
	struct book book;

	check_book_init(&book, h);
	judge_rows(&book, f);
	judge_order(&book, f);
	for (uint32_t i = 0; i < h->n_lanes; i++) {
		for (uint32_t k = 0; k < h->lanes[i].n; k++)
			judge_op(&book, &h->lanes[i].ops[k], f);
		judge_sessions(&book, &h->lanes[i], f);
	}
	for (uint32_t i = 0; i < h->n_facts; i++)
		for (uint8_t router = 0; router < CHECK_ROUTERS; router++)
			judge_refusals(&book, &h->facts[i], router, f);
	check_book_fini(&book);
}
