/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two networks of this process's own, joined by a cable: APP, where a pool lives, and DB, where
 * servers do. nftables in DB loses, refuses or turns back packets; and /etc/hosts, /etc/resolv.conf
 * and /etc/nsswitch.conf are the test's.
 *
 * The namespaces have no names: they are held by this process's threads and descriptors alone, so
 * the kernel takes them down when it ends, however it ends, and no run can see another's.
 *
 * A thread is in one of the two, and so are the threads and children that it starts, the sockets
 * that they open, and a cluster that is started there.
 */
#ifndef WEIR_TEST_NETNS_H
#define WEIR_TEST_NETNS_H

#include <stdbool.h>

enum test_netns_side { TEST_NETNS_APP, TEST_NETNS_DB };

/* Their addresses. DB has two. */
#define TEST_NETNS_APP_ADDRESS "10.77.0.1"
#define TEST_NETNS_DB_ADDRESS "10.77.0.2"
#define TEST_NETNS_DB_OTHER "10.77.0.3"

/*
 * Makes them; the calling thread is in APP then. Before the process has other threads. Where that
 * cannot be (not root, no ip or nft, a kernel that refuses) the process ends with 77 and a word.
 */
void test_netns_make_or_exit(void);

/* Moves the calling thread. A failure ends the process. */
void test_netns_enter(enum test_netns_side side);

enum test_netns_fault {
	TEST_NETNS_BLACK_HOLE, /* nothing passes, neither way */
	TEST_NETNS_TO_DB,      /* what APP sends is lost; what DB sends arrives */
	TEST_NETNS_FROM_DB,    /* the other way round */
	TEST_NETNS_RESET,      /* what comes to DB is answered by RST */
	TEST_NETNS_LOSSY,      /* three of ten packets to DB are lost */
};

/*
 * From now on packets to and from this TCP port of DB, instead of the fault before. Port 0: all of
 * TCP and UDP. Any thread. A failure ends the process.
 */
void test_netns_fault(enum test_netns_fault fault, int port);
void test_netns_heal(void);

/* What /etc/hosts holds besides localhost, from now on. Any thread; never half written. */
void test_netns_hosts(const char *text);

/* Names that are not in hosts: asked of a server that is silent, for four seconds; or of none. */
void test_netns_dead_resolver(bool dead);

#endif
