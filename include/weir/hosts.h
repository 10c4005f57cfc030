/* SPDX-License-Identifier: BSD-2-Clause */
/* The hosts of a router, changed while it runs. */
#ifndef WEIR_HOSTS_H
#define WEIR_HOSTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/* Hosts a router has at most, those that were removed and are not gone yet among them. */
#define WEIR_HOSTS_MAX 64

/* What an operator says of a host. Members are only added at the end. */
typedef struct weir_host_settings {
	size_t size;   /* sizeof(weir_host_settings), set by weir_host_settings_init */
	char zone[64]; /* as in the option host_zones; "": none */
	/* share of reads: 0 to 1000, 100 is the usual; 0: serves none unless nobody else can */
	uint32_t weight;
} weir_host_settings;

/* No zone, the usual weight. */
WEIR_API void weir_host_settings_init(weir_host_settings *settings);

/*
 * The calls below change the set of hosts while checkouts go on; no checkout waits for them. Any
 * thread. Each returns when the router follows what was said: some milliseconds; it never waits for
 * a server, nor for connections to come back. On the keeper's thread, which is where most events
 * are told, it cannot wait: there OK means that it will be done soon after, and an event tells what
 * came of it: HOST_ADDED, HOST_REMOVED or HOST_CHANGED, or HOST_REFUSED with the reason.
 *
 * `host` is "name:port", or the name alone where only one host has that name; nothing of what goes
 * in is kept. Statuses: OK; INVALID with a text that says why, and for a host that the router does
 * not have, which it has; CLOSED; FORKED; NO_MEMORY.
 */

/*
 * Adds "host", "host:port" or "[address]:port" (port: 5432), with the parameters of the router's
 * connection string and its options. It takes part when it has been looked at: weir_router_probe
 * waits for that. settings NULL: no zone, the usual weight. A router has at most 64 hosts; one that
 * was removed counts until its last connection is back. In a router whose endpoints were named by
 * hand it is one more reader.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_host_add(weir_router *router, const char *host,
                                                       const weir_host_settings *settings,
                                                       weir_error *error);

/*
 * Removes a host. From the return on nobody gets a connection of it; who waits there chooses
 * another. Connections that are out stay good until they are given back, and are closed then; until
 * the last of them is, the host is in the statistics, as `leaving`, and HOST_LEFT tells when it is
 * not any more. It may be added again at once. The last host cannot be removed, nor the one that
 * options.primary names.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_host_remove(weir_router *router, const char *host,
                                                          weir_error *error);

/*
 * Drains a host, or lets it take part again. A drained host serves as no replica: its idle
 * connections are closed, the others when they are given back. It is probed all the same. While it
 * is the primary it goes on as before, as nobody could do it in its place; it drains when it has
 * ceased to be.
 */
WEIR_API WEIR_CHECKED weir_status weir_router_host_drain(weir_router *router, const char *host,
                                                         bool on, weir_error *error);

/* Gives a host another zone and weight; settings as from weir_host_settings_init, filled in. */
WEIR_API WEIR_CHECKED weir_status weir_router_host_set(weir_router *router, const char *host,
                                                       const weir_host_settings *settings,
                                                       weir_error *error);

WEIR_END

#endif
