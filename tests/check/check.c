/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The consistency checker: clients write and read through weir while servers and links fail, and
 * what they saw is judged by rules. Ends with 1 if a rule is broken, 77 where there is no
 * PostgreSQL.
 *
 * check [--seconds S] [--seed N] [--clients N] [--pace US] [--probe MS] [DEED...]
 *
 * Deeds come in rounds: each of them once, in an order by chance; those named only, if any are.
 * TEST_CHECK_SECONDS and TEST_STRESS_SEED stand for the first two.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check/client.h"
#include "check/deeds.h"
#include "check/rules.h"
#include "check/summary.h"
#include "support/threads.h"
#include "support/watchdog.h"

#define CLIENTS_MAX 64

struct wish {
	double seconds;
	uint64_t seed;
	uint32_t clients;
	int64_t pace_us, probe_ms;
	enum deed deeds[DEEDS];
	uint32_t n_deeds;
};

static const char *const deed_names[] = {
#define DEED_NAME(name, text) #name,
	DEED_MAP(DEED_NAME)
#undef DEED_NAME
};

/* ---- wishes ---- */

static void refuse(const char *word)
{
	fprintf(stderr,
	        "check: %s? check [--seconds S] [--seed N] [--clients N] [--pace US] [DEED...]\n",
	        word);
	fprintf(stderr, "deeds:");
	for (int i = 0; i < DEEDS; i++)
		fprintf(stderr, " %s", deed_names[i]);
	fprintf(stderr, "\n");
	exit(2);
}

static void add_deed(struct wish *w, const char *word)
{
	for (int i = 0; i < DEEDS; i++)
		if (strcmp(word, deed_names[i]) == 0 && w->n_deeds < DEEDS) {
			w->deeds[w->n_deeds++] = (enum deed)i;
			return;
		}
	refuse(word);
}

static void read_words(struct wish *w, int n, char **words)
{
	for (int i = 1; i < n; i++) {
		bool is_option = strncmp(words[i], "--", 2) == 0;
		const char *value = is_option && i + 1 < n ? words[i + 1] : "";

		if (strcmp(words[i], "--seconds") == 0)
			w->seconds = atof(value);
		else if (strcmp(words[i], "--seed") == 0)
			w->seed = strtoull(value, NULL, 10);
		else if (strcmp(words[i], "--clients") == 0)
			w->clients = (uint32_t)atoi(value);
		else if (strcmp(words[i], "--pace") == 0)
			w->pace_us = atoll(value);
		else if (strcmp(words[i], "--probe") == 0)
			w->probe_ms = atoll(value);
		else if (is_option)
			refuse(words[i]);
		else
			add_deed(w, words[i]);
		i += is_option;
	}
	if (w->seconds <= 0 || w->clients < 1 || w->clients >= CLIENTS_MAX || w->pace_us < 1 ||
	    w->pace_us > 400000)
		refuse("a number out of range");
	for (int i = 0; !w->n_deeds && i < DEEDS; i++)
		w->deeds[i] = (enum deed)i;
	if (!w->n_deeds)
		w->n_deeds = DEEDS;
}

/* ---- clients ---- */

static void start_clients(struct stage *s, const struct wish *w, struct client *clients)
{
	uint32_t n = w->clients + 1;

	s->history.lanes = calloc(n, sizeof(*s->history.lanes));
	s->history.n_lanes = n;
	if (!s->history.lanes)
		exit(EXIT_FAILURE);
	for (uint32_t i = 0; i < n; i++) {
		clients[i] = (struct client){.stage = s, .number = i, .ticks = i == w->clients};
		wi_rng_seed(&clients[i].rng, w->seed * 1000 + i);
		check_client_start(&clients[i]);
	}
}

static void stop_clients(struct stage *s, struct client *clients)
{
	atomic_store(&s->stop, true);
	for (uint32_t i = 0; i < s->history.n_lanes; i++)
		check_client_join(&clients[i]);
}

/* ---- deeds ---- */

static void shuffle(struct wish *w, struct wi_rng *rng)
{
	for (uint32_t i = w->n_deeds; i > 1; i--) {
		uint32_t k = wi_rng_below(rng, i);
		enum deed last = w->deeds[i - 1];

		w->deeds[i - 1] = w->deeds[k];
		w->deeds[k] = last;
	}
}

static bool play(struct stage *s, enum deed deed)
{
	struct episode episode = {.deed = (uint8_t)deed, .from_ns = wi_now_ns()};
	bool well;

	check_do(s, deed);
	well = !s->broken && check_calm(s);
	episode.to_ns = wi_now_ns();
	if (s->n_episodes < EPISODES)
		s->episodes[s->n_episodes++] = episode;
	return well;
}

static bool do_deeds(struct stage *s, struct wish *w)
{
	int64_t end_ns = wi_now_ns() + (int64_t)(w->seconds * 1e9);

	if (!check_calm(s))
		return false;
	for (uint32_t i = 0; wi_now_ns() < end_ns; i = (i + 1) % w->n_deeds) {
		if (i == 0)
			shuffle(w, &s->rng);
		test_watchdog(180, check_deed_text(w->deeds[i]));
		if (!play(s, w->deeds[i]))
			return false;
	}
	return true;
}

int main(int n, char **words)
{
	const char *seconds = getenv("TEST_CHECK_SECONDS");
	struct wish w = {.seconds = seconds ? atof(seconds) : 20,
	                 .clients = 8,
	                 .pace_us = 4000,
	                 .probe_ms = 100};
	static struct client clients[CLIENTS_MAX];
	static struct findings findings;
	static struct stage s;
	bool judged;

	w.seed = test_seed();
	read_words(&w, n, words);
	test_watchdog(180, "the start");
	stage_open(&s, w.seed, w.seconds, w.probe_ms);
	s.findings = &findings;
	s.pace_us = w.pace_us;
	start_clients(&s, &w, clients);
	(void)do_deeds(&s, &w);
	test_watchdog(300, "the end");
	stop_clients(&s, clients);
	judged = !s.broken && stage_read_truth(&s);
	if (judged)
		check_rules(&s.history, &findings);
	check_summarise(&s, &findings);
	judged = judged && !check_broken(&findings);
	stage_close(&s);
	printf("seed %llu: %s\n", (unsigned long long)w.seed, judged ? "ok" : "WRONG");
	return judged ? EXIT_SUCCESS : EXIT_FAILURE;
}
