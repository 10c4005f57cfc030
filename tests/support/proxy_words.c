/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Orders to the fault proxy as words, one line each:
 *
 *	for all|new|present           whom the faults below concern from now on; to begin with, all
 *	delay WAY MS                  WAY is server, client or both: where the bytes go
 *	rate WAY BYTES                a second; 0: no limit
 *	cut WAY BYTES [rst]           after so many more; 0: not at all
 *	stop|swallow|keep_end WAY on|off
 *	ssl pass|no|stall|garbage|stuffed
 *	cancel_delay MS               cancel_hold on|off
 *	blackhole                     both ways swallow, ends are kept
 *	heal                          no faults
 *	refuse on|off
 *	reset, drop, half_close WAY, cancels_go, counts
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/proxy_inside.h"

#define WORDS 4

/* Sets whichever of a pair `way` names; false: it names none. */
static bool set_pair(int64_t pair[2], const char *way, const char *value)
{
	bool server = strcmp(way, "server") == 0, client = strcmp(way, "client") == 0;
	bool both = strcmp(way, "both") == 0;
	char *end;
	int64_t n = strtoll(value, &end, 10);

	if (end == value || *end || n < 0 || !(server || client || both))
		return false;
	if (server || both)
		pair[TEST_TO_SERVER] = n;
	if (client || both)
		pair[TEST_TO_CLIENT] = n;
	return true;
}

static bool set_switch(bool *to, const char *value)
{
	*to = strcmp(value, "on") == 0;
	return *to || strcmp(value, "off") == 0;
}

static bool set_switches(bool pair[2], const char *way, const char *value)
{
	int64_t as_numbers[2] = {pair[0], pair[1]};
	bool on;

	if (!set_switch(&on, value) || !set_pair(as_numbers, way, on ? "1" : "0"))
		return false;
	pair[0] = as_numbers[0];
	pair[1] = as_numbers[1];
	return true;
}

static int nth(const char *word, const char *const names[], int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(word, names[i]) == 0)
			return i;
	return -1;
}

static bool set_ssl(struct test_proxy_fault *f, const char *word)
{
	static const char *const names[] = {"pass", "no", "stall", "garbage", "stuffed"};
	int i = nth(word, names, 5);

	if (i >= 0)
		f->ssl = (enum test_proxy_ssl)i;
	return i >= 0;
}

/* A fault that changes; false: no such words. */
static bool set_fault(struct test_proxy_fault *f, char *const w[WORDS])
{
	int64_t one[2] = {0};

	if (strcmp(w[0], "delay") == 0)
		return set_pair(f->delay_ms, w[1], w[2]);
	if (strcmp(w[0], "rate") == 0)
		return set_pair(f->rate, w[1], w[2]);
	if (strcmp(w[0], "cut") == 0) {
		f->cut_by_reset = strcmp(w[3], "rst") == 0;
		return (f->cut_by_reset || !w[3][0]) && set_pair(f->cut_after, w[1], w[2]);
	}
	if (strcmp(w[0], "stop") == 0)
		return set_switches(f->stop, w[1], w[2]);
	if (strcmp(w[0], "swallow") == 0)
		return set_switches(f->swallow, w[1], w[2]);
	if (strcmp(w[0], "keep_end") == 0)
		return set_switches(f->keep_end, w[1], w[2]);
	if (strcmp(w[0], "ssl") == 0)
		return set_ssl(f, w[1]);
	if (strcmp(w[0], "cancel_hold") == 0)
		return set_switch(&f->cancel_hold, w[1]);
	if (strcmp(w[0], "cancel_delay") == 0) {
		if (!set_pair(one, "server", w[1]))
			return false;
		f->cancel_delay_ms = one[TEST_TO_SERVER];
		return true;
	}
	if (strcmp(w[0], "blackhole") == 0) {
		*f = (struct test_proxy_fault){.swallow = {true, true}, .keep_end = {true, true}};
		return true;
	}
	return false;
}

/* What is no fault; *n is what there is to tell, -1 nothing. false: no such words. */
static bool do_deed(struct test_proxy *p, char *const w[WORDS], int *n)
{
	static const char *const whom[] = {"all", "new", "present"};
	bool on;

	*n = -1;
	if (strcmp(w[0], "for") == 0 && nth(w[1], whom, 3) >= 0) {
		p->whom = (enum test_proxy_whom)nth(w[1], whom, 3);
	} else if (strcmp(w[0], "heal") == 0) {
		p->spoken = (struct test_proxy_fault){0};
		test_proxy_heal(p);
	} else if (strcmp(w[0], "refuse") == 0 && set_switch(&on, w[1])) {
		test_proxy_refuse(p, on);
	} else if (strcmp(w[0], "reset") == 0) {
		*n = test_proxy_reset(p);
	} else if (strcmp(w[0], "drop") == 0) {
		*n = test_proxy_drop(p);
	} else if (strcmp(w[0], "half_close") == 0) {
		*n = test_proxy_half_close(p, strcmp(w[1], "server") == 0 ? TEST_TO_SERVER
		                                                          : TEST_TO_CLIENT);
	} else if (strcmp(w[0], "cancels_go") == 0) {
		*n = test_proxy_cancels_go(p);
	} else {
		return false;
	}
	return true;
}

static void tell_counts(struct test_proxy *p, char *answer, size_t room)
{
	struct test_proxy_counts c;

	test_proxy_counts(p, &c);
	snprintf(answer, room,
	         "ok connects=%llu open=%u sessions=%llu ssl_requests=%llu cancels=%llu held=%u "
	         "to_server=%llu to_client=%llu lost=%llu cuts=%llu",
	         (unsigned long long)c.connects, c.open, (unsigned long long)c.sessions,
	         (unsigned long long)c.ssl_requests, (unsigned long long)c.cancels, c.held,
	         (unsigned long long)c.bytes[TEST_TO_SERVER],
	         (unsigned long long)c.bytes[TEST_TO_CLIENT],
	         (unsigned long long)(c.lost[0] + c.lost[1]), (unsigned long long)c.cuts);
}

bool test_proxy_order(struct test_proxy *p, const char *line, char *answer, size_t room)
{
	char copy[256], nothing[] = "", *w[WORDS], *save = NULL;
	int n;

	snprintf(copy, sizeof(copy), "%s", line);
	for (int i = 0; i < WORDS; i++) {
		char *word = strtok_r(i ? NULL : copy, " \t\r\n", &save);

		w[i] = word ? word : nothing;
	}
	snprintf(answer, room, "ok");
	if (strcmp(w[0], "counts") == 0) {
		tell_counts(p, answer, room);
	} else if (do_deed(p, w, &n)) {
		if (n >= 0)
			snprintf(answer, room, "ok %d", n);
	} else if (set_fault(&p->spoken, w)) {
		test_proxy_fault(p, p->whom, &p->spoken);
	} else {
		snprintf(answer, room, "err no such order: %.100s", line);
		return false;
	}
	return true;
}
