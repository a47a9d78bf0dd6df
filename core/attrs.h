/* The compiler extensions that Ferry uses, all of them; gcc and clang. */
#ifndef FERRY_CORE_ATTRS_H
#define FERRY_CORE_ATTRS_H

/* The caller must look at the result. */
#define FERRY_NODISCARD __attribute__((warn_unused_result))
/* A printf-like function: format at argument F, values from argument A on. */
#define FERRY_PRINTF(F, A) __attribute__((format(printf, F, A)))
/* Calls FN with the address of the variable when it goes out of scope. */
#define FERRY_CLEANUP(FN) __attribute__((cleanup(FN)))

#endif
