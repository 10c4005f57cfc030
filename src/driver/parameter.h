/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What weir knows of libpq's connection parameters beyond what libpq itself can tell. No libpq
 * here.
 */
#ifndef WI_DRIVER_PARAMETER_H
#define WI_DRIVER_PARAMETER_H

/*
 * A path where no file can be, for parameters that mean a file in the home directory when they are
 * empty.
 */
#define WI_NO_FILE "/dev/null/none"

/*
 * The value that keeps environment and files out of a parameter, or NULL if it has nothing to do
 * with either. env and compiled are what libpq says of it: its environment variable and its
 * default, or NULL.
 */
const char *wi_parameter_neutral(const char *keyword, const char *env, const char *compiled);

/* The major version of libpq that brought a keyword, if later than 15; else 0. */
int wi_parameter_since(const char *keyword);

/*
 * The first environment variable that is set, that libpq obeys and no parameter overrules; or NULL.
 */
const char *wi_parameter_stubborn_variable(void);

#endif
