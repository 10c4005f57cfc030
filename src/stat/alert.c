/* SPDX-License-Identifier: BSD-2-Clause */
/* The alert rules, from their table: thresholds, the window, and each rule's way up and down. */
#include "stat/alert.h"

#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "stat/event.h"

/* Looks in a row that find it over. */
#define CALM_LOOKS 2
/* With less than so many tries a share says nothing. */
#define TRIES_LEAST 5

struct row {
	const char *name, *unit, *text;
	weir_severity severity;
	uint32_t looks;
	int64_t back_pct;
};

static const struct row rows[WEIR_ALERT_RULES] = {
#define WEIR_ALERT(name, severity, unit, threshold, looks, back_pct, text)                         \
	[WEIR_ALERT_##name] = {#name, unit, text, WEIR_SEVERITY_##severity, looks, back_pct},
#include <weir/alerts.def>
#undef WEIR_ALERT
};

int64_t wi_alert_threshold(const weir_options *o, weir_alert_rule rule)
{
	switch (rule) {
#define WEIR_ALERT(name, severity, unit, threshold, looks, back_pct, text)                         \
	case WEIR_ALERT_##name:                                                                    \
		return threshold;
#include <weir/alerts.def>
#undef WEIR_ALERT
	case WEIR_ALERT_RULES:
		break;
	}
	return 0;
}

/* ---- one rule ---- */

static void raise_it(struct wi_alarm *a, int64_t now_ns)
{
	a->raised = true;
	a->told = false;
	a->since_ns = now_ns;
	a->calm = 0;
}

static enum wi_alert_news clear(struct wi_alarm *a)
{
	a->raised = false;
	a->hot = 0;
	return a->told ? WI_ALERT_CLEARED : WI_ALERT_NO_NEWS;
}

/* It is raised: told if the last telling is long enough ago. */
static enum wi_alert_news tell_now(struct wi_alarm *a, int64_t now_ns, int64_t cooldown_ms)
{
	if (a->told && !cooldown_ms)
		return WI_ALERT_NO_NEWS;
	if (a->told_ns && now_ns - a->told_ns < cooldown_ms * WI_MS)
		return WI_ALERT_NO_NEWS;
	a->told = true;
	a->told_ns = now_ns;
	return WI_ALERT_RAISED;
}

enum wi_alert_news wi_alarm_look(struct wi_alarm *a, weir_alert_rule rule, int64_t threshold,
                                 int64_t value, int64_t now_ns, int64_t cooldown_ms)
{
	const struct row *row = &rows[rule];

	if (threshold <= 0)
		return a->raised ? clear(a) : WI_ALERT_NO_NEWS;
	if (value < 0)
		return WI_ALERT_NO_NEWS;
	a->value = value;
	a->threshold = threshold;
	a->hot = value >= threshold ? a->hot + 1 : 0;
	a->calm = value * 100 < threshold * row->back_pct ? a->calm + 1 : 0;
	if (a->raised && a->calm >= CALM_LOOKS)
		return clear(a);
	if (!a->raised && a->hot >= row->looks)
		raise_it(a, now_ns);
	return a->raised ? tell_now(a, now_ns, cooldown_ms) : WI_ALERT_NO_NEWS;
}

/* ---- the window ---- */

static void note(struct wi_window *w, int64_t now_ns, const uint64_t counts[WI_COUNTED])
{
	w->last = (w->last + 1) % WI_WINDOW_SAMPLES;
	if (w->samples < WI_WINDOW_SAMPLES)
		w->samples++;
	w->at_ns[w->last] = now_ns;
	memcpy(w->count[w->last], counts, sizeof(w->count[w->last]));
}

/* The youngest sample that is as old as the window, or else the oldest of all. */
static uint32_t base_of(const struct wi_window *w, int64_t since_ns)
{
	uint32_t at = w->last;

	for (uint32_t i = 1; i < w->samples && w->at_ns[at] > since_ns; i++)
		at = (at + WI_WINDOW_SAMPLES - 1) % WI_WINDOW_SAMPLES;
	return at;
}

bool wi_window_within(struct wi_window *w, int64_t now_ns, int64_t span_ns,
                      const uint64_t counts[WI_COUNTED], uint64_t within[WI_COUNTED])
{
	uint32_t base = base_of(w, now_ns - span_ns);

	if (!w->samples) {
		note(w, now_ns, counts);
		return false;
	}
	for (int i = 0; i < WI_COUNTED; i++) {
		uint64_t before = w->count[base][i];

		/* A sum over hosts may go down, when one is removed. */
		within[i] = counts[i] > before ? counts[i] - before : 0;
	}
	/* One sample more than the window is divided into: its other end is among them. */
	if (now_ns - w->at_ns[w->last] >= span_ns / (WI_WINDOW_SAMPLES - 1))
		note(w, now_ns, counts);
	return true;
}

int64_t wi_failure_pct(uint64_t tried, uint64_t failed)
{
	if (tried < TRIES_LEAST)
		return 0;
	return failed < tried ? (int64_t)(failed * 100 / tried) : 100;
}

void wi_findings_of(struct wi_findings *f, const uint64_t n[WI_COUNTED])
{
	int64_t connects = wi_failure_pct(n[WI_CONNECTS_TRIED], n[WI_CONNECTS_FAILED]);
	int64_t checkouts = wi_failure_pct(n[WI_CHECKOUTS_TRIED], n[WI_CHECKOUTS_FAILED]);

	for (int i = 0; i < WEIR_ALERT_RULES; i++)
		f->value[i] = -1;
	f->unhealthy = NULL;
	f->value[WEIR_ALERT_FAILURE_RATE] = connects > checkouts ? connects : checkouts;
	f->value[WEIR_ALERT_LEAKS] = (int64_t)n[WI_LEAKED];
	f->value[WEIR_ALERT_SLOW_QUERIES] = (int64_t)n[WI_QUERIES_SLOW];
	f->value[WEIR_ALERT_SLOW_CHECKOUTS] = (int64_t)n[WI_CHECKOUTS_SLOW];
	f->value[WEIR_ALERT_BREAKER_OPEN] = (int64_t)n[WI_BREAKER_OPENINGS];
}

/* ---- all of them ---- */

static bool is_on(const weir_options *o)
{
	return o->monitoring && o->metrics_interval_ms > 0;
}

int64_t wi_alarms_due(const struct wi_alarms *alarms, const weir_options *o)
{
	return is_on(o) ? alarms->next_ns : WI_FOREVER;
}

void wi_alarms_hasten(struct wi_alarms *alarms, const weir_options *o, int64_t now_ns)
{
	int64_t latest_ns = wi_deadline_after(now_ns, o->metrics_interval_ms);

	if (alarms->next_ns > latest_ns)
		alarms->next_ns = latest_ns;
}

bool wi_alarms_are_due(struct wi_alarms *alarms, const weir_options *o, int64_t now_ns)
{
	if (now_ns < wi_alarms_due(alarms, o))
		return false;
	alarms->next_ns = wi_deadline_after(now_ns, o->metrics_interval_ms);
	return true;
}

/* What any thread reads of one rule. */
struct shown {
	int64_t value, threshold, since_ns;
};

/* And of all. */
struct board {
	uint32_t raised, told; /* a bit a rule */
	struct shown of[WEIR_ALERT_RULES];
};

_Static_assert(sizeof(struct board) <= WI_POSTED_WORDS * 8, "it can be posted");

static void show(struct wi_alarms *alarms)
{
	struct board b = {.raised = 0};

	for (int i = 0; i < WEIR_ALERT_RULES; i++) {
		const struct wi_alarm *a = &alarms->of[i];

		b.raised |= (uint32_t)a->raised << i;
		b.told |= (uint32_t)a->told << i;
		b.of[i] = (struct shown){a->value, a->threshold, a->since_ns};
	}
	wi_post(&alarms->shown, &b, sizeof(b));
}

static void tell(const struct wi_alarm *a, weir_alert_rule rule, enum wi_alert_news news,
                 const struct wi_findings *f, const weir_options *o, struct wi_ring *ring,
                 const char *host, int64_t now_ns)
{
	const struct row *row = &rows[rule];
	const char *space = row->unit[0] ? " " : "";

	if (news == WI_ALERT_CLEARED)
		wi_event_tell(ring, o, now_ns, WEIR_EVENT_ALERT_CLEARED, host,
		              "%s: over after %lld ms", row->name,
		              (long long)((now_ns - a->since_ns) / WI_MS));
	else
		wi_event_tell(ring, o, now_ns, WEIR_EVENT_ALERT_RAISED, host,
		              "%s: %s: %lld%s%s (from %lld%s%s on): %s",
		              weir_severity_name(row->severity), row->name, (long long)a->value,
		              space, row->unit, (long long)a->threshold, space, row->unit,
		              rule == WEIR_ALERT_UNHEALTHY && f->unhealthy ? f->unhealthy
		                                                           : row->text);
}

void wi_alarms_judge(struct wi_alarms *alarms, const weir_options *o, struct wi_ring *ring,
                     const char *host, int64_t now_ns, const struct wi_findings *f)
{
	for (int i = 0; i < WEIR_ALERT_RULES; i++) {
		weir_alert_rule rule = (weir_alert_rule)i;
		enum wi_alert_news news =
			wi_alarm_look(&alarms->of[i], rule, wi_alert_threshold(o, rule),
		                      f->value[i], now_ns, o->alert_cooldown_ms);

		if (news != WI_ALERT_NO_NEWS)
			tell(&alarms->of[i], rule, news, f, o, ring, host, now_ns);
	}
	show(alarms);
}

size_t wi_alarms_list(struct wi_alarms *alarms, const char *host, weir_alert *alerts, size_t room)
{
	struct board b;
	size_t n = 0;

	if (!wi_posted_read(&alarms->shown, &b, sizeof(b)))
		return 0;
	for (int i = 0; i < WEIR_ALERT_RULES; i++) {
		if (!(b.raised >> i & 1))
			continue;
		if (alerts && n < room) {
			weir_alert *a = &alerts[n];

			memset(a, 0, sizeof(*a));
			a->rule = (weir_alert_rule)i;
			a->severity = rows[i].severity;
			wi_copy(a->host, sizeof(a->host), host);
			a->value = b.of[i].value;
			a->threshold = b.of[i].threshold;
			a->since_ns = b.of[i].since_ns;
			a->told = b.told >> i & 1;
		}
		n++;
	}
	return n;
}

/* ---- names ---- */

static const struct row nobody = {"UNKNOWN", "", "unknown rule", WEIR_SEVERITY_WARNING, 1, 100};

static const struct row *row_of(weir_alert_rule rule)
{
	return (unsigned)rule < WEIR_ALERT_RULES ? &rows[rule] : &nobody;
}

const char *weir_alert_name(weir_alert_rule rule)
{
	return row_of(rule)->name;
}

const char *weir_alert_unit(weir_alert_rule rule)
{
	return row_of(rule)->unit;
}

const char *weir_alert_text(weir_alert_rule rule)
{
	return row_of(rule)->text;
}

weir_severity weir_alert_severity(weir_alert_rule rule)
{
	return row_of(rule)->severity;
}

const char *weir_severity_name(weir_severity severity)
{
	return severity == WEIR_SEVERITY_CRITICAL ? "CRITICAL" : "WARNING";
}
