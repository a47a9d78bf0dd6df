/* Crash points: named places at which a test build can end the process as `kill -9` would, so that tests see what a
 * crash at exactly that place leaves behind (docs/reliability.md).
 *
 *     FERRY_CRASH_POINT=spool-after-commit:3 ferry-bridge …      ends at the third passing of that place
 *
 * They exist only where the build was configured with -DFERRY_CRASH_POINTS=ON (the presets for developing); `--version`
 * says so. A release has none: the macro is nothing there. */
#ifndef FERRY_CORE_CRASH_POINT_H
#define FERRY_CORE_CRASH_POINT_H

#ifdef FERRY_CRASH_POINTS
#define FERRY_CRASH_POINT(name) ferry_crash_point_pass(name)
#define FERRY_CRASH_POINT_NOTE " (with crash points)"
/* Counts, and does not return when it is this place's turn. Any thread. */
void ferry_crash_point_pass(const char *name);
#else
#define FERRY_CRASH_POINT(name) ((void)0)
#define FERRY_CRASH_POINT_NOTE ""
#endif

#endif
