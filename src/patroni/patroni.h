/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of libweir-patroni share. */
#ifndef WI_PATRONI_PATRONI_H
#define WI_PATRONI_PATRONI_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/patroni.h>

#define WI_MEMBERS_MAX 64
#define WI_URLS_MAX 16

/* ---- view.c ---- */

struct wi_member {
	char host[WEIR_ERROR_HOST]; /* "host:port" */
	char zone[64];              /* "": none */
	bool unbalanced;            /* the tag noloadbalance */
	bool leads;
	uint32_t timeline; /* 0: unknown */
};

struct wi_view {
	uint32_t n;
	struct wi_member member[WI_MEMBERS_MAX];
	const struct wi_member *leader; /* NULL: nobody */
	/* Patroni does not manage: that nobody leads means nothing */
	bool paused;
};

/* Reads what /cluster answers; false: it cannot be right, and `why` says how. */
bool wi_view_read(struct wi_view *view, const char *body, size_t length, const char *zone_tag,
                  char *why, size_t room);

/* ---- ask.c ---- */

struct wi_question {
	int64_t timeout_ms;
	size_t body_max;
	char *ca_file, *cert_file, *key_file, *user_name, *password; /* NULL: none */
	char *url[WI_URLS_MAX];                                      /* with /cluster at the end */
	uint32_t n_urls;
};

struct wi_asker; /* one thread's */

struct wi_asker *wi_asker_create(const struct wi_question *question);
void wi_asker_destroy(struct wi_asker *asker);

/*
 * Asks; each answer that comes is offered to is_good, until that takes one. false: none was taken,
 * and `why` says what was wrong with the last. Ends early when wi_asker_wake is called.
 */
bool wi_ask(struct wi_asker *asker, bool (*is_good)(void *arg, const char *body, size_t length),
            void *arg, char *why, size_t room);

/* The last answer is doubted: somebody else is asked first the next time. */
void wi_asker_next(struct wi_asker *asker);

/* Ends the wi_ask that goes on, and all later ones. Any thread. */
void wi_asker_wake(struct wi_asker *asker);

/* ---- follow.c ---- */

/* What was said of a host, and since when it is no member. */
struct wi_followed {
	char host[WEIR_ERROR_HOST];
	char zone[64];
	bool unbalanced;
	int64_t missing_ms; /* 0: it is one */
};

struct wi_follower {
	uint32_t n;
	struct wi_followed host[WI_MEMBERS_MAX];
};

/* Whether that host is the primary, by the router's own look. */
bool wi_is_primary(weir_router *router, const char *host);

/* Makes the router's hosts those of the view. false: something of that failed, as `why` says. */
bool wi_follow(struct wi_follower *follower, weir_router *router, const struct wi_view *view,
               int64_t now_ms, int64_t forget_ms, char *why, size_t room);

/* ---- patroni.c ---- */

struct weir_patroni {
	weir_router *router;
	struct wi_question question;
	int64_t period_ms, good_for_ms, forget_ms;
	char *zone_tag;
	bool follow_members;
	struct wi_asker *asker;
	struct wi_follower follower; /* the thread's */
	/* the thread's: answers in a row that the hosts contradicted */
	uint32_t doubts;
	pthread_t thread;
	long process; /* whose thread it is */
	atomic_bool ending;
	pthread_mutex_t lock; /* of what follows */
	weir_patroni_info info;
	int64_t answered_ms; /* 0: never */
};

#endif
