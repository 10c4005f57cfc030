/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A view is a file that only its user may read, in a directory that only that user may write, in
 * memory: $XDG_RUNTIME_DIR/weir, or /dev/shm/weir-<uid>. A directory that somebody else made in our
 * place is not used, and no link is followed. On a disk a write could wait, and the keeper may not.
 *
 * What a process leaves that ends without closing its pools is kept for who comes to see why: the
 * last sixteen, for an hour. Whoever opens the next pool sweeps out the rest.
 */
#include "view/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "view/life.h"

#define SHARED_MEMORY "/dev/shm"
#define USERS_RUN "/run/user"

#define IS_TMPFS 0x01021994
#define IS_RAMFS 0x858458f6u

#define KEPT_S 3600
#define KEPT 16
#define SEEN_AT_MOST 4096 /* files, in one sweep */

/* ---- directories ---- */

static void add_home(char homes[WI_HOMES][WEIR_VIEW_DIRECTORY], size_t *n, const char *path)
{
	if (*n == WI_HOMES || strlen(path) >= WEIR_VIEW_DIRECTORY)
		return;
	for (size_t i = 0; i < *n; i++)
		if (strcmp(homes[i], path) == 0)
			return;
	wi_copy(homes[(*n)++], WEIR_VIEW_DIRECTORY, path);
}

/* Those below `parent` whose names begin with `prefix`, and `within` them. */
static void add_all(char homes[WI_HOMES][WEIR_VIEW_DIRECTORY], size_t *n, const char *parent,
                    const char *prefix, const char *within)
{
	DIR *dir = opendir(parent);
	struct dirent *e;
	char path[512];

	while (dir && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", parent, e->d_name, within);
		if (access(path, F_OK) == 0)
			add_home(homes, n, path);
	}
	if (dir)
		closedir(dir);
}

size_t wi_homes(char homes[WI_HOMES][WEIR_VIEW_DIRECTORY], bool everybody)
{
	const char *run = secure_getenv("XDG_RUNTIME_DIR");
	char path[512];
	struct stat s;
	size_t n = 0;

	if (run && run[0] == '/' && !stat(run, &s) && s.st_uid == geteuid()) {
		snprintf(path, sizeof(path), "%s/weir", run);
		add_home(homes, &n, path);
	}
	snprintf(path, sizeof(path), SHARED_MEMORY "/weir-%lld", (long long)geteuid());
	add_home(homes, &n, path);
	if (everybody) {
		add_all(homes, &n, USERS_RUN, "", "/weir");
		add_all(homes, &n, SHARED_MEMORY, "weir-", "");
	}
	return n;
}

static bool is_in_memory(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) &&
	       ((uint32_t)fs.f_type == IS_TMPFS || (uint32_t)fs.f_type == IS_RAMFS);
}

int wi_home_open(const char *path, uid_t *owner)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat s;

	if (fd < 0)
		return -1;
	if (fstat(fd, &s) || s.st_mode & (S_IWGRP | S_IWOTH)) {
		close(fd);
		errno = EACCES;
		return -1;
	}
	*owner = s.st_uid;
	return fd;
}

int wi_home_make(const char *path, const char **why)
{
	uid_t owner = 0;
	int fd;

	if (mkdir(path, S_IRWXU) && errno != EEXIST) {
		*why = "it cannot be made";
		return -1;
	}
	fd = wi_home_open(path, &owner);
	if (fd < 0)
		*why = "it is no directory that only its owner may write";
	else if (owner != geteuid())
		*why = "it belongs to another user";
	else if (!is_in_memory(fd))
		*why = "it is not in memory (tmpfs), and writing to it could wait";
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- files ---- */

bool wi_home_parse(const char *name, int64_t *pid, uint32_t *number)
{
	char *end;
	long long p;
	unsigned long n;

	if (name[0] < '1' || name[0] > '9' || strlen(name) >= WEIR_VIEW_NAME)
		return false;
	errno = 0;
	p = strtoll(name, &end, 10);
	if (*end != '-' || end[1] < '0' || end[1] > '9')
		return false;
	n = strtoul(end + 1, &end, 10);
	if (*end || errno || p > INT32_MAX || n > UINT32_MAX)
		return false;
	*pid = p;
	*number = (uint32_t)n;
	return true;
}

int wi_home_file(int home, const char *name, uid_t owner, int flags)
{
	int fd = openat(home, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat s;

	if (fd < 0)
		return -1;
	if (!fstat(fd, &s) && S_ISREG(s.st_mode) && s.st_uid == owner && s.st_nlink == 1)
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

bool wi_home_head(int file, struct wi_view_head *head)
{
	return pread(file, head, sizeof(*head), 0) == (ssize_t)sizeof(*head) &&
	       head->magic == WI_VIEW_MAGIC && head->version == WI_VIEW_VERSION &&
	       head->size >= sizeof(*head);
}

/* ---- sweeping ---- */

struct leftover {
	char name[WEIR_VIEW_NAME];
	int64_t changed_s;
};

/* Whether this is a file whose process is gone, and since when it has not changed. */
static bool is_left(int home, const char *name, struct leftover *left)
{
	struct wi_view_head head;
	struct stat s = {0};
	int fd = wi_home_file(home, name, geteuid(), O_RDONLY);
	bool whole = fd >= 0 && wi_home_head(fd, &head), got = fd >= 0 && !fstat(fd, &s);
	int64_t age_s;

	if (fd >= 0)
		close(fd);
	if (!got)
		return false;
	wi_copy(left->name, sizeof(left->name), name);
	left->changed_s = s.st_mtime;
	age_s = time(NULL) - s.st_mtime;
	/* Who draws draws each second: what cannot be asked about is judged by that. */
	if (!whole || wi_life_of(head.pid, head.start, head.pid_space) == WI_LIFE_UNKNOWN)
		return age_s > KEPT_S;
	return wi_life_of(head.pid, head.start, head.pid_space) == WI_LIFE_ENDED;
}

/* Takes one more into the newest that are kept; what has no room there is removed. */
static void keep_or_remove(int home, struct leftover kept[KEPT], size_t *n, struct leftover one)
{
	struct leftover *oldest = &kept[0];

	if (time(NULL) - one.changed_s > KEPT_S) {
		(void)unlinkat(home, one.name, 0);
		return;
	}
	if (*n < KEPT) {
		kept[(*n)++] = one;
		return;
	}
	for (size_t i = 1; i < KEPT; i++)
		if (kept[i].changed_s < oldest->changed_s)
			oldest = &kept[i];
	if (one.changed_s > oldest->changed_s) {
		struct leftover out = *oldest;

		*oldest = one;
		one = out;
	}
	(void)unlinkat(home, one.name, 0);
}

void wi_home_sweep(int home)
{
	struct leftover kept[KEPT], one;
	size_t n = 0, seen = 0;
	struct dirent *e;
	uint32_t number;
	int64_t pid;
	int fd = openat(home, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	while ((e = readdir(dir)) && seen++ < SEEN_AT_MOST)
		if (wi_home_parse(e->d_name, &pid, &number) && is_left(home, e->d_name, &one))
			keep_or_remove(home, kept, &n, one);
	closedir(dir);
}
