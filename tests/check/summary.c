/* SPDX-License-Identifier: BSD-2-Clause */
/* Counting what was written down. */
#include "check/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "check/deeds.h"

#define GAP_NS (250 * WI_MS)

static const char *const kind_names[] = {"writes", "transfers", "locked reads", "reads",
                                         "bank reads"};
static const char *const level_names[] = {"any", "max lag", "token", "session"};

/* Another write came before a compare-and-set. */
static bool is_miss(const struct op *op)
{
	return op->kind == OP_WRITE && op->outcome == OUTCOME_FAILED && op->phase == PHASE_WORK &&
	       !op->version && !op->sqlstate[0] && op->status == WEIR_OK;
}

static void count_kind(const struct history *h, enum op_kind kind)
{
	uint64_t outcomes[3] = {0}, phases[4] = {0}, misses = 0;

	for (uint32_t i = 0; i < h->n_lanes; i++)
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			const struct op *op = &h->lanes[i].ops[k];

			if (op->kind != kind)
				continue;
			if (is_miss(op)) {
				misses++;
				continue;
			}
			outcomes[op->outcome]++;
			if (op->outcome != OUTCOME_OK)
				phases[op->phase]++;
		}
	printf("%-13s %8" PRIu64 " ok, %6" PRIu64 " failed, %4" PRIu64 " unknown; of those %" PRIu64
	       " in the checkout, %" PRIu64 " at work, %" PRIu64 " in COMMIT\n",
	       kind_names[kind], outcomes[OUTCOME_OK], outcomes[OUTCOME_FAILED],
	       outcomes[OUTCOME_UNKNOWN], phases[PHASE_CHECKOUT], phases[PHASE_WORK],
	       phases[PHASE_COMMIT]);
	if (misses)
		printf("%-13s %8" PRIu64 " found another version than they expected\n", "", misses);
}

/* How checkouts failed, and when for the first and the last time. */
static void count_checkouts(const struct stage *s)
{
	const struct history *h = &s->history;

	for (int status = WEIR_OK + 1; status <= WEIR_SYSTEM; status++) {
		int64_t first = INT64_MAX, last = 0;
		uint64_t n = 0;

		for (uint32_t i = 0; i < h->n_lanes; i++)
			for (uint32_t k = 0; k < h->lanes[i].n; k++) {
				const struct op *op = &h->lanes[i].ops[k];

				if (op->phase != PHASE_CHECKOUT || op->status != status)
					continue;
				n++;
				first = op->ended_ns < first ? op->ended_ns : first;
				last = op->ended_ns > last ? op->ended_ns : last;
			}
		if (n)
			printf("%" PRIu64 " checkouts failed with %s, from %.1f s to %.1f s\n", n,
			       weir_status_name((weir_status)status),
			       (double)(first - s->begun_ns) / 1e9,
			       (double)(last - s->begun_ns) / 1e9);
	}
}

/* Where reads were served, by what they asked for. */
static void count_levels(const struct history *h)
{
	uint64_t counts[4][3] = {{0}};

	for (uint32_t i = 0; i < h->n_lanes; i++)
		for (uint32_t k = 0; k < h->lanes[i].n; k++) {
			const struct op *op = &h->lanes[i].ops[k];

			if ((op->kind == OP_READ || op->kind == OP_BANK) &&
			    op->outcome == OUTCOME_OK)
				counts[op->level][op->role]++;
		}
	for (int i = 0; i < 4; i++)
		printf("reads, %-8s %6" PRIu64 " on replicas, %" PRIu64 " on the primary\n",
		       level_names[i], counts[i][WEIR_ROLE_REPLICA], counts[i][WEIR_ROLE_PRIMARY]);
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* When writes were acknowledged, in order; the caller frees. */
static int64_t *acknowledged(const struct history *h, uint32_t *n)
{
	int64_t *at = NULL;
	uint32_t room = 0;

	*n = 0;
	for (uint32_t i = 0; i < h->n_lanes; i++)
		room += h->lanes[i].n;
	at = malloc((room + 1) * sizeof(*at));
	for (uint32_t i = 0; at && i < h->n_lanes; i++)
		for (uint32_t k = 0; k < h->lanes[i].n; k++)
			if (h->lanes[i].ops[k].kind == OP_WRITE &&
			    h->lanes[i].ops[k].outcome == OUTCOME_OK)
				at[(*n)++] = h->lanes[i].ops[k].ended_ns;
	if (at)
		qsort(at, *n, sizeof(*at), by_number);
	return at;
}

static void show_gaps(const struct stage *s, const int64_t *at, uint32_t n)
{
	int64_t longest = 0, sum = 0, when = 0;
	uint32_t gaps = 0;

	for (uint32_t i = 1; i < n; i++) {
		int64_t gap = at[i] - at[i - 1];

		if (gap < GAP_NS)
			continue;
		gaps++;
		sum += gap;
		if (gap > longest) {
			longest = gap;
			when = at[i - 1];
		}
	}
	printf("no write acknowledged for 250 ms or more: %u times, %.1f s in all, %.1f s at most, "
	       "from %.1f s on\n",
	       gaps, (double)sum / 1e9, (double)longest / 1e9, (double)(when - s->begun_ns) / 1e9);
	if (n)
		printf("writes went on for %.1f s of %.1f\n",
		       (double)(at[n - 1] - at[0] - sum) / 1e9,
		       (double)(at[n - 1] - s->begun_ns) / 1e9);
}

/* From a promotion to the first write that was acknowledged after it. */
static void show_promotions(const struct stage *s, const int64_t *at, uint32_t n)
{
	int64_t took[PROMOTIONS];
	uint32_t k = 0, m = 0;

	for (uint32_t i = 0; i < s->n_promoted; i++) {
		while (k < n && at[k] < s->promoted_ns[i])
			k++;
		if (k < n)
			took[m++] = at[k] - s->promoted_ns[i];
	}
	if (!m)
		return;
	qsort(took, m, sizeof(*took), by_number);
	printf("%u promotions; from the new primary being followed to the next acknowledged write: "
	       "median %.0f ms, at most %.0f ms\n",
	       m, (double)took[m / 2] / 1e6, (double)took[m - 1] / 1e6);
}

/* For how long no write was acknowledged, at most, while all that lasted. */
static int64_t standstill(const struct episode *e, const int64_t *at, uint32_t n)
{
	int64_t longest = 0;

	for (uint32_t i = 1; i < n && at[i - 1] < e->to_ns; i++)
		if (at[i] > e->from_ns && at[i] - at[i - 1] > longest)
			longest = at[i] - at[i - 1];
	return longest;
}

static void show_deed(const struct stage *s, enum deed deed, const int64_t *at, uint32_t n)
{
	static int64_t took[EPISODES];
	uint32_t m = 0;

	for (uint32_t i = 0; i < s->n_episodes; i++)
		if (s->episodes[i].deed == deed)
			took[m++] = standstill(&s->episodes[i], at, n);
	if (!m)
		return;
	qsort(took, m, sizeof(*took), by_number);
	printf("%4u  %-58s writes stood still for %5.0f ms (median), %5.0f ms at most\n", m,
	       check_deed_text(deed), (double)took[m / 2] / 1e6, (double)took[m - 1] / 1e6);
}

static void show_rules(const struct findings *f)
{
	for (int i = 0; i < CHECK_RULES; i++)
		printf("%-13s judged %9" PRIu64 ", broken %" PRIu64 "   %s\n",
		       check_rule_name((enum check_rule)i), f->judged[i], f->broken[i],
		       check_rule_text((enum check_rule)i));
	for (uint32_t i = 0; i < f->n_words; i++)
		printf("BROKEN %s\n", f->words[i]);
}

void check_summarise(const struct stage *s, const struct findings *f)
{
	uint32_t n;
	int64_t *at = acknowledged(&s->history, &n);

	printf("\n");
	for (int i = 0; at && i < DEEDS; i++)
		show_deed(s, (enum deed)i, at, n);
	for (int kind = OP_WRITE; kind <= OP_BANK; kind++)
		count_kind(&s->history, (enum op_kind)kind);
	count_checkouts(s);
	count_levels(&s->history);
	if (at) {
		show_gaps(s, at, n);
		show_promotions(s, at, n);
	}
	free(at);
	show_rules(f);
}
