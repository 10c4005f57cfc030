/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of promise 14 share: callers that check out with a deadline while something is
 * wrong with the server, how late they came back, and who was seen inside getaddrinfo.
 */
#ifndef WEIR_TEST_P14_CALLER_H
#define WEIR_TEST_P14_CALLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <weir/weir.h>

/* The calling thread is a caller: it must not be seen in getaddrinfo. */
extern _Thread_local bool p14_i_call;

/* Lookups of names (not of addresses) by callers, and by others. */
extern _Atomic uint32_t p14_lookups_by_callers, p14_lookups;

/* While set, the lookup of a name does not come back. */
void p14_hang_lookups(bool hang);

/*
 * How late a caller may be: 50 ms, more where it is slow, and what the machine itself oversleeps.
 */
int64_t p14_slack_ns(void);

struct p14_late {
	int64_t worst_ns; /* of all callers, without the time they had no processor */
	uint64_t calls;
	char wrong[256]; /* "" if all was well */
};

/*
 * Sixteen callers for about a second, each on one of the n pools, and with deadlines of its own
 * between 20 and 400 ms; checks that each checkout fails with TIMEOUT or CONNECT, by its deadline,
 * and names the host.
 */
void p14_call_in_vain(weir_pool *const *pools, int n, struct p14_late *late);

#endif
