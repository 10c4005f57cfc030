/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Alert rules judged: what was counted within a window, and when an alert is raised, told of again,
 * and over. One of these belongs to each pool and each router; the keeper looks, any thread reads.
 *
 * States of a rule:
 *
 *	calm --so many looks in a row find the threshold--> raised --two in a row find less than its share--> calm
 *
 * Told, as it is raised and as long as it lasts, at most once a cooldown; that it is over, if it
 * was told.
 */
#ifndef WI_STAT_ALERT_H
#define WI_STAT_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/alert.h>
#include <weir/options.h>

#include "base/posted.h"
#include "stat/ring.h"

/* What is counted for the rules, ever. */
enum wi_counted {
	WI_CONNECTS_TRIED,
	WI_CONNECTS_FAILED,
	WI_CHECKOUTS_TRIED,
	WI_CHECKOUTS_FAILED,
	WI_LEAKED,
	WI_QUERIES_SLOW,
	WI_CHECKOUTS_SLOW,
	WI_BREAKER_OPENINGS,
	WI_COUNTED
};

#define WI_WINDOW_SAMPLES 16

/* What these counts were at some moments of late, the last of them at `last`. (k) */
struct wi_window {
	int64_t at_ns[WI_WINDOW_SAMPLES];
	uint64_t count[WI_WINDOW_SAMPLES][WI_COUNTED];
	uint32_t last, samples;
};

/* What a look found; -1: the rule is not judged here, or there is nothing to judge it by. */
struct wi_findings {
	int64_t value[WEIR_ALERT_RULES];
	const char *unhealthy; /* in words */
};

/* One rule's. (k) */
struct wi_alarm {
	bool raised, told;
	uint32_t hot, calm; /* looks in a row that found the threshold; less than its share */
	int64_t since_ns;
	int64_t told_ns; /* 0: never */
	int64_t value, threshold;
};

/* Access key: (k) keeper's thread; (a) atomic, any thread. Zeroed: nothing was looked at yet. */
struct wi_alarms {
	struct wi_alarm of[WEIR_ALERT_RULES]; /* (k) */
	struct wi_window window;              /* (k) */
	int64_t next_ns;                      /* (k) when to look; 0: not begun */
	struct wi_posted shown;               /* (k) writes, any thread reads */
};

/* What is to be told of a rule. */
enum wi_alert_news { WI_ALERT_NO_NEWS, WI_ALERT_RAISED, WI_ALERT_CLEARED };

/* The threshold that the options set for a rule; 0: it is off. */
int64_t wi_alert_threshold(const weir_options *options, weir_alert_rule rule);

/* One look at one rule. A value of -1 leaves it as it is. */
enum wi_alert_news wi_alarm_look(struct wi_alarm *alarm, weir_alert_rule rule, int64_t threshold,
                                 int64_t value, int64_t now_ns, int64_t cooldown_ms);

/* The interval may be shorter than it was. */
void wi_alarms_hasten(struct wi_alarms *alarms, const weir_options *options, int64_t now_ns);

/* Whether it is time to look; then the next look is set. */
bool wi_alarms_are_due(struct wi_alarms *alarms, const weir_options *options, int64_t now_ns);

/* When to look next; WI_FOREVER with the option off. */
int64_t wi_alarms_due(const struct wi_alarms *alarms, const weir_options *options);

/*
 * What was counted within the last span_ns, or since the first sample; notes what is now. false:
 * this was the first, and nothing can be said yet.
 */
bool wi_window_within(struct wi_window *window, int64_t now_ns, int64_t span_ns,
                      const uint64_t counts[WI_COUNTED], uint64_t within[WI_COUNTED]);

/* What those counts make of the rules that live on counts; the others are -1. */
void wi_findings_of(struct wi_findings *findings, const uint64_t within[WI_COUNTED]);

/* The share of what failed, in percent; -1: too few were tried to say. */
int64_t wi_failure_pct(uint64_t tried, uint64_t failed);

/* Judges every rule by what was found, tells of what is new, and shows what is raised. */
void wi_alarms_judge(struct wi_alarms *alarms, const weir_options *options, struct wi_ring *ring,
                     const char *host, int64_t now_ns, const struct wi_findings *findings);

/* Those of one host ("" is a router); as weir_pool_alerts_get. Any thread. */
size_t wi_alarms_list(struct wi_alarms *alarms, const char *host, weir_alert *alerts, size_t room);

#endif
