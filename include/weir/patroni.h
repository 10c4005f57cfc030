/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What Patroni knows, for a router: who leads, and who belongs to the cluster. A library of its own
 * (libweir-patroni, with libcurl and Jansson), so that libweir needs neither.
 *
 * weir finds the primary by asking the servers themselves, and goes on doing so. Patroni's word is
 * an advice beside that (weir_router_advise): it decides between servers that contradict each
 * other, keeps a primary that is none any more from writes, and has the next one asked first.
 */
#ifndef WEIR_PATRONI_H
#define WEIR_PATRONI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/export.h>
#include <weir/router.h>
#include <weir/status.h>

WEIR_BEGIN

/* Who asks Patroni for one router. Opaque. */
typedef struct weir_patroni weir_patroni;

/* Zero it, set `size` and urls, and fill in what matters. Texts are copied. */
typedef struct weir_patroni_options {
	size_t size; /* sizeof(weir_patroni_options); 0 means the same */
	/*
	 * Patroni's REST APIs: "http://h1:8008,https://h2:8008". No other host is ever asked, no
	 * redirect is followed, no proxy is used.
	 */
	const char *urls;
	int64_t period_ms;   /* between two questions; 0: 1000. Faster while nobody leads */
	int64_t timeout_ms;  /* for one answer, the connect included; 0: 2000 */
	int64_t good_for_ms; /* how long an answer is an advice; 0: three periods and a timeout */
	size_t body_max;     /* a longer answer is none; 0: 1 MiB */
	/* PEM files: who may have signed the servers' certificates (NULL: the system's) */
	const char *ca_file;
	const char *cert_file, *key_file; /* of this client's certificate, or NULL */
	const char *user_name, *password; /* for HTTP's basic authentication, or NULL */
	/*
	 * Patroni's members become the router's hosts: new ones are added, and a host that is no
	 * member for forget_ms (0: 30 s) is removed, unless none would be left. The tag
	 * noloadbalance means weight 0. Whoever answers then says where the passwords of the
	 * connection string go: ask by https.
	 */
	bool follow_members;
	int64_t forget_ms;
	const char *zone_tag; /* the tag that names a member's zone; NULL: "zone" */
} weir_patroni_options;

/* What came of it so far. */
typedef struct weir_patroni_info {
	size_t size;                   /* set by the caller to sizeof(weir_patroni_info) */
	uint64_t answers, failures;    /* questions, by how they ended */
	int64_t answer_age_ms;         /* since the last answer; -1: never */
	uint32_t members;              /* in the last answer */
	char leader[WEIR_ERROR_HOST];  /* "host:port" in the last answer; "": nobody */
	char trouble[WEIR_ERROR_TEXT]; /* why the last question, or what it led to, failed; or "" */
} weir_patroni_info;

/*
 * Starts a thread that asks, and gives the router advice. The router must stay open until
 * weir_patroni_stop. Any thread; does not block. *patroni is the caller's, to stop. Statuses: OK,
 * INVALID (the options; the text says which), NO_MEMORY, SYSTEM.
 *
 * A leader is matched to a host of the router by "host:port" as Patroni's connect_address says it:
 * without follow_members, the connection string is to name the hosts so, else there is no advice.
 */
WEIR_API WEIR_CHECKED weir_status weir_patroni_start(weir_router *router,
                                                     const weir_patroni_options *options,
                                                     weir_patroni **patroni, weir_error *error);

/* Reads what came of it. Any thread; does not block for longer than a copy takes. */
WEIR_API void weir_patroni_info_get(weir_patroni *patroni, weir_patroni_info *info);

/*
 * Takes the advice back, ends the thread and sets *patroni to NULL; NULL is a no-op. A question
 * that is under way is given up. Any thread but an event sink; waits for the thread, a fraction of
 * a second. A name that the system's resolver is still looking up is left to a thread of libcurl's,
 * which ends when the resolver comes back. In a child of the process that started it, it only
 * frees.
 */
WEIR_API void weir_patroni_stop(weir_patroni **patroni);

WEIR_END

#endif
