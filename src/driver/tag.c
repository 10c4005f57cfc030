/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Command tags. SET is SET LOCAL's tag as well, PREPARE that of a statement that is deallocated at
 * once, DECLARE CURSOR that of a cursor which ends with its transaction, CREATE TABLE that of a
 * table for everybody: a tag does not say which, so all of them count. SELECT without rows is
 * CREATE TABLE AS or SELECT INTO.
 */
#include "driver/tag.h"

#include <stddef.h>
#include <string.h>

#include "base/line.h"

/*
 * What leaves nothing, whole or before a blank and a count. CALL is among them, as SELECT is, which
 * can call the same: what a function does is not for tags to tell.
 */
static const char *const harmless[] = {
	"INSERT",
	"UPDATE",
	"DELETE",
	"MERGE",
	"BEGIN",
	"COMMIT",
	"ROLLBACK",
	"SAVEPOINT",
	"RELEASE",
	"COPY",
	"FETCH",
	"MOVE",
	"LOCK TABLE",
	"NOTIFY",
	"CALL",
	"CLOSE CURSOR",
	"CLOSE CURSOR ALL",
	"START TRANSACTION",
	"SET CONSTRAINTS",
	"TRUNCATE TABLE",
	"PREPARE TRANSACTION",
	"COMMIT PREPARED",
	"ROLLBACK PREPARED",
	"VACUUM",
	"ANALYZE",
};

/* The part of a tag before its counts: "INSERT 0 1" is INSERT. */
static size_t name_length(const char *tag)
{
	size_t n = strcspn(tag, "0123456789");

	while (n > 0 && tag[n - 1] == ' ')
		n--;
	return n;
}

bool wi_tag_may_leave(const char *tag)
{
	size_t n = name_length(tag);

	for (size_t i = 0; i < WI_ARRAY_LEN(harmless); i++)
		if (tag[0] == harmless[i][0] && strncmp(tag, harmless[i], n) == 0 &&
		    harmless[i][n] == '\0')
			return false;
	return true;
}

bool wi_tag_commits(const char *tag)
{
	return strcmp(tag, "COMMIT") == 0 || strcmp(tag, "PREPARE TRANSACTION") == 0;
}

bool wi_tag_may_turn(const char *tag)
{
	return strcmp(tag, "SET") == 0 || strcmp(tag, "RESET") == 0 || strcmp(tag, "BEGIN") == 0 ||
	       strcmp(tag, "START TRANSACTION") == 0;
}

bool wi_tag_drops_plans(const char *tag)
{
	return strcmp(tag, "DISCARD ALL") == 0 || strcmp(tag, "DEALLOCATE ALL") == 0;
}
