/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drawing: how a process shows a picture of one of its pools or routers to who looks from outside.
 */
#ifndef WI_VIEW_DRAWING_H
#define WI_VIEW_DRAWING_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/view.h>

#include "view/format.h"

/* Where one draws. Its keeper's thread, once there is one. */
struct wi_drawing {
	bool begun;     /* else nothing is drawn, and the rest says nothing */
	int file;       /* its file */
	uint32_t epoch; /* of forks, when it was begun: a child's copy is left alone */
	uint64_t posts; /* pictures so far */
	char path[WEIR_VIEW_DIRECTORY + WEIR_VIEW_NAME];
};

/*
 * Begins to draw, as the option `view` says: "off": not; "on": where views are by default, and
 * nowhere where that cannot be; a directory: there, and INVALID where that cannot be. Any thread.
 */
weir_status wi_drawing_begin(struct wi_drawing *drawing, const char *where, bool is_router,
                             const char *application, weir_error *error);

/* Ends it: the file goes, unless it is a parent's. Nobody draws any more. */
void wi_drawing_end(struct wi_drawing *drawing);

/* Whether somebody has looked within the last seconds. */
bool wi_drawing_is_wanted(const struct wi_drawing *drawing, int64_t now_ns);

/* A picture under way, record after record. */
struct wi_pen {
	struct wi_drawing *drawing;
	uint64_t at;  /* where in the file the next bytes go */
	uint64_t end; /* of the place */
	uint64_t digest;
	size_t fill; /* bytes that wait in buffer */
	bool failed;
	char buffer[4096];
};

void wi_pen_begin(struct wi_pen *pen, struct wi_drawing *drawing);

/* Hosts first, then holders, then waiters, then events. size: a multiple of eight. */
void wi_pen_add(struct wi_pen *pen, const void *record, size_t size);

/* Shows it; head lacks number, bytes, digest, and sizes. false: not written, the last one stays. */
bool wi_pen_end(struct wi_pen *pen, struct wi_view_picture *head);

#endif
