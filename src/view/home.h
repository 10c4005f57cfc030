/* SPDX-License-Identifier: BSD-2-Clause */
/* Where views lie, under which names, and who may be believed there. */
#ifndef WI_VIEW_HOME_H
#define WI_VIEW_HOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/view.h>

#include "view/format.h"

#define WI_HOMES 64

/*
 * The directories of this user where views are by default, the better one first; everybody: those
 * of all users, too, as root asks for. Returns how many, at most WI_HOMES.
 */
size_t wi_homes(char homes[WI_HOMES][WEIR_VIEW_DIRECTORY], bool everybody);

/*
 * Opens a directory to draw in, and makes it if it is not there: this user's own, nobody else may
 * write there, and in memory. A descriptor; -1: *why says what is wrong with it.
 */
int wi_home_make(const char *path, const char **why);

/* Opens a directory to look into: nobody but its owner may write there. -1: no. */
int wi_home_open(const char *path, uid_t *owner);

/* "<pid>-<number>"; false: that is no name of a view. */
bool wi_home_parse(const char *name, int64_t *pid, uint32_t *number);

/*
 * Opens a file in such a directory, if it is a plain file of this owner with one name. -1: errno
 * says why not.
 */
int wi_home_file(int home, const char *name, uid_t owner, int flags);

/* The head of a view; false: it is none that this weir can read. */
bool wi_home_head(int file, struct wi_view_head *head);

/* Removes what dead processes of this user left there long ago, or too much of. */
void wi_home_sweep(int home);

#endif
