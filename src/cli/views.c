/* SPDX-License-Identifier: BSD-2-Clause */
/* Which process to look into, and reading what it drew. */
#include "cli/views.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/json.h"
#include "cli/table.h"

/* ---- finding ---- */

static void list_all(const char *directory, struct cli_views *views)
{
	size_t room = 64, n;

	for (;;) {
		views->all = cli_alloc(room, sizeof(*views->all));
		n = weir_view_list(directory, views->all, room);
		if (n <= room)
			break;
		free(views->all);
		room = n + 16;
	}
	views->n_all = n;
}

/* Whether the operand means this one: NULL means all. */
static bool is_meant(const weir_view_entry *e, const char *operand)
{
	int64_t pid;

	if (!operand)
		return true;
	if (cli_parse_int(operand, &pid))
		return e->pid == pid;
	return !strcmp(e->name, operand) || !strcmp(e->program, operand) ||
	       !strcmp(e->application, operand);
}

static bool is_same_process(const weir_view_entry *a, const weir_view_entry *b)
{
	return a->pid == b->pid && !strcmp(a->directory, b->directory);
}

/* Those that run come before those that have ended: who asks by name means these. */
static bool runs(const weir_view_entry *e)
{
	return e->state != WEIR_VIEW_ENDED && e->state != WEIR_VIEW_CLOSED &&
	       e->state != WEIR_VIEW_REPLACED;
}

/* The first that is meant; *others: there are more, of other processes. */
static const weir_view_entry *find_first(const struct cli_views *views, const char *operand,
                                         bool running, bool *others)
{
	const weir_view_entry *first = NULL;

	*others = false;
	for (size_t i = 0; i < views->n_all; i++) {
		const weir_view_entry *e = &views->all[i];

		if (!is_meant(e, operand) || (running && !runs(e)))
			continue;
		if (first && !is_same_process(first, e))
			*others = true;
		first = first ? first : e;
	}
	return first;
}

static void open_of(struct cli_views *views, const weir_view_entry *first, const char *operand)
{
	for (size_t i = 0; i < views->n_all; i++) {
		const weir_view_entry *e = &views->all[i];
		struct cli_view *v = &views->view[views->n];

		if (!is_meant(e, operand) || !is_same_process(e, first) ||
		    weir_view_open(e->directory, e->name, &v->view, NULL) != WEIR_OK)
			continue;
		v->entry = *e;
		views->n++;
	}
}

/* ---- the list to choose from ---- */

static void owner_name(uint32_t owner, char text[CLI_SHORT])
{
	struct passwd *user = getpwuid(owner);

	if (user)
		cli_copy(text, CLI_SHORT, user->pw_name);
	else
		snprintf(text, CLI_SHORT, "%" PRIu32, owner);
}

void cli_views_print_list(const struct cli_views *views, FILE *out)
{
	struct cli_table *table = cli_table_create("rllllr");
	char owner[CLI_SHORT], age[CLI_SHORT];

	cli_head(table, "pid|program|what|application|state|picture");
	for (size_t i = 0; i < views->n_all; i++) {
		const weir_view_entry *e = &views->all[i];

		owner_name(e->owner, owner);
		cli_cell(table, CLI_STRONG, "%" PRId32, e->pid);
		cli_cell(table, CLI_PLAIN, "%s", e->program);
		cli_cell(table, CLI_PLAIN, "%s %" PRIu32 " of %s", e->router ? "router" : "pool",
		         e->number, owner);
		cli_cell(table, CLI_PLAIN, "%s", e->application);
		cli_cell(table, e->state == WEIR_VIEW_LIVE ? CLI_GOOD : CLI_BAD, "%s",
		         weir_view_state_name(e->state));
		cli_cell(table, CLI_FAINT, "%s",
		         e->age_ms < 0 ? "none" : cli_duration(age, e->age_ms * CLI_MS));
	}
	cli_table_print(table, out);
	cli_table_destroy(table);
}

static void put_entry(json_t *o, const weir_view_entry *e)
{
	cli_json_put(o, "pid", cli_json_int(e->pid));
	cli_json_put(o, "name", cli_json_text(e->name));
	cli_json_put(o, "kind", cli_json_text(e->router ? "router" : "pool"));
	cli_json_put(o, "program", cli_json_text(e->program));
	cli_json_put(o, "application", cli_json_text(e->application));
	cli_json_put(o, "owner", cli_json_int(e->owner));
	cli_json_put(o, "state", cli_json_text(weir_view_state_name(e->state)));
	cli_json_put(o, "age_ms", cli_json_known(e->age_ms));
}

static void print_list_json(const struct cli_views *views)
{
	json_t *o = cli_json_object(), *list = cli_json_array();

	for (size_t i = 0; i < views->n_all; i++) {
		json_t *entry = cli_json_object();

		put_entry(entry, &views->all[i]);
		cli_json_add(list, entry);
	}
	cli_json_put(o, "processes", list);
	cli_json_print_line(o);
}

void cli_views_offer(const struct cli_views *views, bool json)
{
	if (json)
		print_list_json(views);
	else
		cli_views_print_list(views, stdout);
}

/* ---- opening ---- */

static int none(const struct cli_word *word, const char *operand)
{
	if (operand)
		fprintf(stderr,
		        "weir %s: %s shows nothing that you may see: no such process, another "
		        "user's, or one without weir (or with view=off)\n",
		        word->name, operand);
	else
		fprintf(stderr, "weir %s: there is no process to look into\n", word->name);
	return CLI_EXIT_UNAVAILABLE;
}

const char *cli_views_named(const struct cli_args *args)
{
	return args->n_operands ? args->operands[0] : NULL;
}

int cli_views_open(const struct cli_word *word, const char *operand, const char *directory,
                   struct cli_views *views)
{
	const weir_view_entry *first;
	bool others;

	if (operand && cli_looks_secret(operand))
		return cli_usage(word, "it takes a process, not a connection string");
	list_all(directory, views);
	first = find_first(views, operand, true, &others);
	if (!first)
		first = find_first(views, operand, false, &others);
	if (!first)
		return none(word, operand);
	if (others && operand) {
		fprintf(stderr, "weir %s: several processes are called %s:\n", word->name, operand);
		cli_views_print_list(views, stderr);
		return CLI_EXIT_USAGE;
	}
	views->view = cli_alloc(views->n_all, sizeof(*views->view));
	if (others)
		return CLI_EXIT_OK;
	open_of(views, first, operand);
	return views->n ? CLI_EXIT_OK : none(word, operand);
}

void cli_views_close(struct cli_views *views)
{
	for (size_t i = 0; i < views->n; i++)
		weir_view_close(&views->view[i].view);
	free(views->view);
	free(views->all);
}

/* ---- reading ---- */

static void find_rates(struct cli_view *v)
{
	const weir_view_picture *p = &v->picture;
	double s = (double)(p->at_ms - v->at_ms) / 1e3;

	if (p->age_ns < 0 || p->number == v->number)
		return;
	for (size_t i = 0; i < p->n_hosts; i++) {
		const weir_pool_stats *pool = &p->hosts[i].pool;
		bool known = v->number && s > 0 && pool->checkouts >= v->taken[i] &&
		             pool->waits >= v->waited[i];

		v->rates[i] = (struct cli_rates){-1, -1};
		if (known)
			v->rates[i] =
				(struct cli_rates){(double)(pool->checkouts - v->taken[i]) / s,
			                           (double)(pool->waits - v->waited[i]) / s};
		v->taken[i] = pool->checkouts;
		v->waited[i] = pool->waits;
	}
	v->number = p->number;
	v->at_ms = p->at_ms;
}

void cli_views_read(struct cli_views *views)
{
	for (size_t i = 0; i < views->n; i++) {
		struct cli_view *v = &views->view[i];

		v->whole = weir_view_read(v->view, &v->picture, NULL) == WEIR_OK;
		if (v->whole)
			find_rates(v);
	}
}

bool cli_views_go_on(const struct cli_views *views)
{
	for (size_t i = 0; i < views->n; i++)
		if (!views->view[i].whole || runs(&views->view[i].picture.entry))
			return true;
	return false;
}

/* ---- a title ---- */

const char *cli_view_title(const struct cli_view *v, char *text, size_t room)
{
	const weir_view_entry *e = &v->entry;

	snprintf(text, room, "%s (pid %" PRId32 "), %s %" PRIu32 "%s%s%s", e->program, e->pid,
	         e->router ? "router" : "pool", e->number, e->application[0] ? ", as " : "",
	         e->application, v->whole ? "" : ": nothing whole to read");
	return text;
}

/* ---- the document ---- */

static json_t *durations_json(const weir_durations *d)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "count", cli_json_int((int64_t)d->count));
	cli_json_put(o, "p50", cli_json_int((int64_t)d->p50_ns));
	cli_json_put(o, "p90", cli_json_int((int64_t)d->p90_ns));
	cli_json_put(o, "p99", cli_json_int((int64_t)d->p99_ns));
	cli_json_put(o, "p999", cli_json_int((int64_t)d->p999_ns));
	cli_json_put(o, "max", cli_json_int((int64_t)d->max_ns));
	return o;
}

static void put_sizes(json_t *o, const weir_pool_stats *p)
{
	cli_json_put(o, "max", cli_json_int(p->max));
	cli_json_put(o, "open", cli_json_int(p->total));
	cli_json_put(o, "idle", cli_json_int(p->idle));
	cli_json_put(o, "busy", cli_json_int(p->busy));
	cli_json_put(o, "opening", cli_json_int(p->opening));
	cli_json_put(o, "kept", cli_json_int(p->kept));
	cli_json_put(o, "closing", cli_json_int(p->closing));
	cli_json_put(o, "waiting", cli_json_int(p->waiting));
	cli_json_put(o, "suspended", cli_json_bool(p->suspended));
}

static void put_counts(json_t *o, const weir_pool_stats *p)
{
	json_t *closed = cli_json_object(), *failed = cli_json_object();

	cli_json_put(o, "checkouts", cli_json_int((int64_t)p->checkouts));
	cli_json_put(o, "checkins", cli_json_int((int64_t)p->checkins));
	cli_json_put(o, "waits", cli_json_int((int64_t)p->waits));
	cli_json_put(o, "timeouts", cli_json_int((int64_t)p->timeouts));
	cli_json_put(o, "refused", cli_json_int((int64_t)p->refused));
	cli_json_put(o, "opened", cli_json_int((int64_t)p->opened));
	cli_json_put(o, "lost", cli_json_int((int64_t)p->lost));
	cli_json_put(o, "leaks", cli_json_int((int64_t)p->leaks));
	cli_json_put(o, "misuse", cli_json_int((int64_t)p->misuse));
	cli_json_put(o, "connect_failures", cli_json_int((int64_t)p->connect_failures));
	for (int i = 0; i < WEIR_CLOSE_REASONS; i++)
		if (p->closed[i])
			cli_json_put(closed, weir_close_name((weir_close)i),
			             cli_json_int((int64_t)p->closed[i]));
	cli_json_put(o, "closed", closed);
	for (int i = 0; i < WEIR_CONNECT_CLASSES; i++)
		if (p->connect_failed_of[i])
			cli_json_put(failed, weir_connect_name((weir_connect)i),
			             cli_json_int((int64_t)p->connect_failed_of[i]));
	cli_json_put(o, "connect_failed_of", failed);
	cli_json_put(o, "wait_ns", durations_json(&p->wait));
	cli_json_put(o, "connect_ns", durations_json(&p->connect));
	cli_json_put(o, "last_connect_error", cli_json_text(p->last_connect_error));
	cli_json_put(o, "last_lost", cli_json_text(p->last_lost));
}

static json_t *host_json(const weir_host_stats *h, bool router, struct cli_rates rates)
{
	static const char *const breakers[] = {"closed", "open", "half-open"};
	bool replica = h->role == WEIR_ROLE_REPLICA;
	json_t *o = cli_json_object();

	cli_json_put(o, "host", cli_json_text(h->host));
	if (router) {
		cli_json_put(o, "role", cli_json_text(weir_role_name(h->role)));
		cli_json_put(o, "reachable", cli_json_bool(h->reachable));
		cli_json_put(o, "timeline",
		             cli_json_known(h->timeline ? (int64_t)h->timeline : -1));
		cli_json_put(o, "lag_ms", cli_json_known(replica ? h->lag_ms : -1));
		cli_json_put(o, "lag_bytes", cli_json_known(replica ? h->lag_bytes : -1));
		cli_json_put(o, "reads", cli_json_int((int64_t)h->reads));
		cli_json_put(o, "writes", cli_json_int((int64_t)h->writes));
		cli_json_put(o, "fallback_reads", cli_json_int((int64_t)h->fallback_reads));
		cli_json_put(o, "drained", cli_json_bool(h->drained));
		cli_json_put(o, "last_error", cli_json_text(h->last_error));
	}
	cli_json_put(o, "breaker", cli_json_text(breakers[h->pool.breaker]));
	put_sizes(o, &h->pool);
	cli_json_put(o, "checkouts_per_s",
	             rates.taken < 0 ? json_null() : cli_json_real(rates.taken));
	cli_json_put(o, "waits_per_s",
	             rates.waited < 0 ? json_null() : cli_json_real(rates.waited));
	put_counts(o, &h->pool);
	return o;
}

static json_t *holders_json(const weir_view_picture *p)
{
	json_t *list = cli_json_array();

	for (size_t i = 0; i < p->n_holders; i++) {
		const weir_view_holder *h = &p->holders[i];
		json_t *o = cli_json_object();

		cli_json_put(o, "host", cli_json_text(p->hosts[h->host].host));
		cli_json_put(o, "held_ms",
		             cli_json_known(h->held_ns < 0 ? -1 : h->held_ns / CLI_MS));
		cli_json_put(o, "thread", cli_json_int(h->thread));
		cli_json_put(o, "thread_name", cli_json_text(h->thread_name));
		cli_json_put(o, "thread_ended", cli_json_bool(h->thread_ended));
		cli_json_put(o, "reclaimed", cli_json_bool(h->reclaimed));
		cli_json_put(o, "tag", cli_json_text(h->tag));
		cli_json_put(o, "role", cli_json_text(weir_role_name(h->role)));
		cli_json_put(o, "reason", cli_json_text(weir_reason_name(h->reason)));
		cli_json_add(list, o);
	}
	return list;
}

static json_t *waiters_json(const weir_view_picture *p)
{
	json_t *list = cli_json_array();

	for (size_t i = 0; i < p->n_waiters; i++) {
		const weir_view_waiter *w = &p->waiters[i];
		json_t *o = cli_json_object();

		cli_json_put(o, "host", cli_json_text(p->hosts[w->host].host));
		cli_json_put(o, "waited_ms", cli_json_int(w->waited_ns / CLI_MS));
		cli_json_put(o, "thread", cli_json_int(w->thread));
		cli_json_put(o, "thread_name", cli_json_text(w->thread_name));
		cli_json_put(o, "tag", cli_json_text(w->tag));
		cli_json_add(list, o);
	}
	return list;
}

static json_t *events_json(const weir_view_picture *p)
{
	json_t *list = cli_json_array();

	for (size_t i = 0; i < p->n_events; i++) {
		const weir_event_record *e = &p->events[i];
		json_t *o = cli_json_object();

		cli_json_put(o, "sequence", cli_json_int((int64_t)e->sequence));
		cli_json_put(o, "at_ms", cli_json_int(e->wall_ns / CLI_MS));
		cli_json_put(o, "event", cli_json_text(weir_event_name(e->kind)));
		cli_json_put(o, "host", cli_json_text(e->host));
		cli_json_put(o, "text", cli_json_text(e->text));
		cli_json_add(list, o);
	}
	return list;
}

static json_t *view_json(const struct cli_view *v)
{
	const weir_view_picture *p = &v->picture;
	json_t *o = cli_json_object(), *hosts = cli_json_array();

	put_entry(o, v->whole ? &p->entry : &v->entry);
	cli_json_put(o, "whole", cli_json_bool(v->whole));
	if (!v->whole || p->age_ns < 0) {
		cli_json_put(o, "hosts", hosts);
		return o;
	}
	cli_json_put(o, "words", cli_json_text(p->words));
	cli_json_put(o, "drawn_ms", cli_json_int(p->at_ms));
	cli_json_put(o, "opened_ms", cli_json_int(p->opened_ms));
	cli_json_put(o, "weir", cli_json_text(p->version));
	cli_json_put(o, "closing", cli_json_bool(p->closing));
	cli_json_put(o, "suspended", cli_json_bool(p->suspended));
	cli_json_put(o, "split", cli_json_bool(p->split));
	cli_json_put(o, "no_primary_ms",
	             cli_json_known(p->no_primary_ns < 0 ? -1 : p->no_primary_ns / CLI_MS));
	cli_json_put(o, "at_gate", cli_json_int(p->at_gate));
	for (size_t i = 0; i < p->n_hosts; i++)
		cli_json_add(hosts, host_json(&p->hosts[i], p->entry.router, v->rates[i]));
	cli_json_put(o, "hosts", hosts);
	cli_json_put(o, "holding", cli_json_int((int64_t)p->holders_total));
	cli_json_put(o, "holders", holders_json(p));
	cli_json_put(o, "waiting", cli_json_int((int64_t)p->waiters_total));
	cli_json_put(o, "waiters", waiters_json(p));
	cli_json_put(o, "events", events_json(p));
	return o;
}

json_t *cli_views_json(const struct cli_views *views)
{
	json_t *o = cli_json_object(), *list = cli_json_array();

	for (size_t i = 0; i < views->n; i++)
		cli_json_add(list, view_json(&views->view[i]));
	cli_json_put(o, "views", list);
	return o;
}
