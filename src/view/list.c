/* SPDX-License-Identifier: BSD-2-Clause */
/* Which views there are. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "view/home.h"
#include "view/look.h"

/* Files looked at in one directory: somebody may have put more there than there are processes. */
#define SEEN_AT_MOST 65536

struct listing {
	weir_view_entry *entries;
	size_t room, n;
};

static void take(struct listing *l, const char *directory, const char *name)
{
	weir_view_picture picture;
	weir_view *view;
	uint32_t number;
	int64_t pid;

	if (!wi_home_parse(name, &pid, &number) ||
	    weir_view_open(directory, name, &view, NULL) != WEIR_OK)
		return;
	wi_view_be_quiet(view);
	/* One that is in the middle of its first picture is there, too. */
	if (weir_view_read(view, &picture, NULL) == WEIR_OK) {
		if (l->n < l->room)
			l->entries[l->n] = picture.entry;
		l->n++;
	}
	weir_view_close(&view);
}

static void list_home(struct listing *l, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *e;
	size_t seen = 0;

	while (dir && (e = readdir(dir)) && seen++ < SEEN_AT_MOST)
		take(l, directory, e->d_name);
	if (dir)
		closedir(dir);
}

static int by_process(const void *a, const void *b)
{
	const weir_view_entry *x = a, *y = b;
	int places = strcmp(x->directory, y->directory);

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	if (places)
		return places;
	return x->number < y->number ? -1 : x->number > y->number;
}

size_t weir_view_list(const char *directory, weir_view_entry *entries, size_t room)
{
	struct listing l = {entries, entries ? room : 0, 0};
	char homes[WI_HOMES][WEIR_VIEW_DIRECTORY];
	size_t n = 0;

	if (directory)
		list_home(&l, directory);
	else
		n = wi_homes(homes, geteuid() == 0);
	for (size_t i = 0; i < n; i++)
		list_home(&l, homes[i]);
	if (l.entries)
		qsort(l.entries, l.n < l.room ? l.n : l.room, sizeof(*l.entries), by_process);
	return l.n;
}
