/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir top` and `weir stats` share: which process to look into, and what it drew. */
#ifndef CLI_VIEWS_H
#define CLI_VIEWS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <weir/weir.h>

#include "cli/args.h"

/* What a host served a second between the last two pictures; negative: not known yet. */
struct cli_rates {
	double taken, waited;
};

/* One pool or router of a process. */
struct cli_view {
	weir_view_entry entry;
	weir_view *view;
	weir_view_picture picture; /* as last read */
	bool whole;                /* it could be read */
	/* the counts of the picture before */
	uint64_t number, taken[WEIR_HOSTS_MAX], waited[WEIR_HOSTS_MAX];
	int64_t at_ms;
	struct cli_rates rates[WEIR_HOSTS_MAX];
};

struct cli_views {
	struct cli_view *view;
	size_t n;
	weir_view_entry *all; /* all that there are */
	size_t n_all;
};

/*
 * Finds the process that is named: by its number, a view by "<pid>-<number>", or by the name of its
 * program or application; by NULL, the only one there is. OK: views->n of them are open; or
 * views->n is 0, and there are several to choose from. UNAVAILABLE or USAGE after a message.
 */
int cli_views_open(const struct cli_word *word, const char *process, const char *directory,
                   struct cli_views *views);
void cli_views_close(struct cli_views *views);

/* Reads all of them. */
void cli_views_read(struct cli_views *views);

/* Whether any of them may show something new. */
bool cli_views_go_on(const struct cli_views *views);

/* Prints the list to choose from as a table; or on standard output, as a table or a document. */
void cli_views_print_list(const struct cli_views *views, FILE *out);
void cli_views_offer(const struct cli_views *views, bool json);

/* What the first operand names, or NULL. */
const char *cli_views_named(const struct cli_args *args);

/* All that the pictures show, as one document. */
json_t *cli_views_json(const struct cli_views *views);

/* "shop (pid 4711), router 1"; "" where there is no such thing. */
const char *cli_view_title(const struct cli_view *view, char *text, size_t room);

#endif
