/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A look at all hosts that does not take one bad moment for an outage: a router gives a probe about
 * a second, which a machine that is busy starting a hundred threads may well need. A host that
 * refuses does so at once, so that three refusals cost nothing.
 */
#include "cli/probe.h"

#include "cli/clock.h"

#define ROUNDS 3

static bool all_reachable(const weir_host_stats *hosts, size_t n_hosts)
{
	for (size_t i = 0; i < n_hosts; i++)
		if (!hosts[i].reachable)
			return false;
	return true;
}

size_t cli_hosts(weir_router *router, weir_host_stats *hosts)
{
	size_t n = weir_router_stats_get(router, hosts, WEIR_HOSTS_MAX);

	return n < WEIR_HOSTS_MAX ? n : WEIR_HOSTS_MAX;
}

bool cli_probe(weir_router *router, weir_host_stats *hosts, size_t *n_hosts, int64_t deadline_ns)
{
	bool probed = false;

	for (int i = 0; i < ROUNDS; i++) {
		int64_t left_ms = (deadline_ns - cli_now()) / CLI_MS;

		if (weir_router_probe(router, left_ms > 0 ? left_ms : 0) == WEIR_OK)
			probed = true;
		*n_hosts = cli_hosts(router, hosts);
		if (all_reachable(hosts, *n_hosts) || cli_now() >= deadline_ns)
			break;
	}
	return probed;
}
