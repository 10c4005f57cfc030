/* SPDX-License-Identifier: BSD-2-Clause */
/* A look at all hosts that does not take one bad moment for an outage. */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

/* Fills hosts, which has room for WEIR_HOSTS_MAX: how many there are now. */
size_t cli_hosts(weir_router *router, weir_host_stats *hosts);

/*
 * Has every host probed, up to three times while one cannot be reached, and fills hosts as
 * cli_hosts does. false: not all of them were probed by the deadline.
 */
bool cli_probe(weir_router *router, weir_host_stats *hosts, size_t *n_hosts, int64_t deadline_ns);

#endif
