/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Alerts: what an operator should know of, judged by the keeper every metrics_interval_ms from what
 * is counted anyway, by the rules of alerts.def. A rule that finds what it looks for raises its
 * alert, which is told as ALERT_RAISED: once, and again every alert_cooldown_ms as long as it
 * lasts; one that was over is told of again only when that time has passed since the last telling.
 * It is over, and if it was told, that is told as ALERT_CLEARED, when two looks in a row found less
 * than the share of the threshold at which the rule lets go: so a value on the edge does not make
 * it come and go.
 */
#ifndef WEIR_ALERT_H
#define WEIR_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/pool.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/* The rules of alerts.def. New ones are added at the end. */
typedef enum weir_alert_rule {
#define WEIR_ALERT(name, severity, unit, threshold, looks, back_pct, text) WEIR_ALERT_##name,
#include <weir/alerts.def>
#undef WEIR_ALERT
	WEIR_ALERT_RULES
} weir_alert_rule;

/* How bad it is. */
typedef enum weir_severity { WEIR_SEVERITY_WARNING, WEIR_SEVERITY_CRITICAL } weir_severity;

/* An alert that is raised just now. */
typedef struct weir_alert {
	weir_alert_rule rule;
	weir_severity severity;
	char host[WEIR_ERROR_HOST]; /* whose it is, "name:port"; "": the router's as a whole */
	int64_t value;              /* at the last look, */
	int64_t threshold;          /* and what raised it; in the rule's unit */
	int64_t since_ns;           /* CLOCK_MONOTONIC: when it was raised */
	/* not, if its kind was told less than alert_cooldown_ms before */
	bool told;
} weir_alert;

/*
 * The alerts that are raised now, at most `room` of them written; how many there are. Of a router:
 * its own, then those of each host. None with the option monitoring off, or before the first look,
 * metrics_interval_ms after the opening. Any thread, also in an event sink; never blocks. The
 * caller sees to it that the pool is not closed meanwhile.
 */
WEIR_API size_t weir_pool_alerts_get(weir_pool *pool, weir_alert *alerts, size_t room);
WEIR_API size_t weir_router_alerts_get(weir_router *router, weir_alert *alerts, size_t room);

/* "USAGE"; "WARNING"; "%" or ""; what the rule looks for, in a sentence. Never NULL; any thread. */
WEIR_API const char *weir_alert_name(weir_alert_rule rule);
WEIR_API const char *weir_alert_unit(weir_alert_rule rule);
WEIR_API const char *weir_alert_text(weir_alert_rule rule);
WEIR_API weir_severity weir_alert_severity(weir_alert_rule rule);
WEIR_API const char *weir_severity_name(weir_severity severity);

WEIR_END

#endif
