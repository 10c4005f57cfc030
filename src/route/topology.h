/* SPDX-License-Identifier: BSD-2-Clause */
/* What checkouts read of all hosts, and publishing it: topology.c. */
#ifndef WI_ROUTE_TOPOLOGY_H
#define WI_ROUTE_TOPOLOGY_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/conn.h>
#include <weir/options.h>
#include <weir/router.h>

#include "route/host.h"
#include "route/roles.h"

/*
 * Immutable while published. Of the readers first those of the router's own zone, last those in
 * reserve, each part in the order of the hosts.
 */
struct wi_topology {
	struct wi_host *primary; /* NULL: none is known */
	/*
	 * what would be the primary, but takes no writes; one of the readers; NULL: there is none
	 */
	struct wi_host *read_only_primary;
	uint32_t n_readers; /* replicas that answer */
	/* of them those that are chosen among; the others serve what none of these can */
	uint32_t n_regular;
	uint32_t n_near;  /* of these in the router's zone */
	uint32_t n_drawn; /* among how many reads without a wish are drawn by lot */
	/* what the options ask of reads, as they are when it is published */
	weir_balance balance;
	bool plain_reads; /* a read is asked nothing more than a policy's choice */
	/*
	 * plain reads are drawn by lot, some at a time: as soon as more is asked of them, no thread
	 * stays any longer with the replica it drew
	 */
	bool draws;
	bool settled;      /* every host has been probed at least once */
	bool split;        /* hosts contradict each other: no standby is known to be right */
	uint32_t timeline; /* the primary's; 0: unknown */
	uint64_t system;   /* 0: unknown */
	struct wi_host *reader[WI_HOSTS_MAX];
};

/*
 * Readers of what was replaced before are gone when this returns: once before each round of
 * publishing. Keeper's thread.
 */
void wi_topology_grace(weir_router *router);

/* Publishes what the opinions of all hosts come to; false: it is as before. The keeper's thread. */
bool wi_topology_publish(weir_router *router, const struct wi_judgement *judgement);

/* Publishes a host's report; *old is the role it was published with before. The keeper's thread. */
bool wi_report_publish(struct wi_host *host, weir_role *old);

#endif
