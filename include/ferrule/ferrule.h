/* The C ABI of Ferrule's runtime: run and train `.fer` models from any
 * language.
 *
 *   fer_model model;
 *   if (fer_model_open("digits.fer", NULL, &model) != FER_OK) {
 *     fprintf(stderr, "%s\n", fer_last_error());
 *     return 1;
 *   }
 *   fer_session session;
 *   fer_session_create(model, NULL, &session);
 *   int64_t shape[] = {1, 1, 28, 28};
 *   fer_buffer x = {sizeof x, FER_F32, 4, shape, pixels, sizeof pixels};
 *   fer_buffer logits = {sizeof logits};
 *   fer_session_run(session, "forward", &x, 1, &logits, 1);
 *   const float* p = logits.data;   (valid until the session runs again)
 *   fer_session_free(session);
 *   fer_model_free(model);
 *
 * Rules. Functions return a fer_status; the text of the last error of the
 * calling thread is fer_last_error(). No function throws, exits or aborts.
 * Structs start with their size: set `struct_size = sizeof(the struct)`, so
 * that a program built against an older header keeps working; what is left zero
 * has its default. Strings are UTF-8 and end with a NUL; those returned live as
 * long as the object they were asked of.
 *
 * A model is immutable: any number of threads may use it. A session belongs to
 * one thread at a time. A session keeps its model alive, so that the model may
 * be freed first. Freeing NULL does nothing. */
#ifndef FERRULE_FERRULE_H_
#define FERRULE_FERRULE_H_

#include <stddef.h>
#include <stdint.h>

#ifndef FER_API
#if defined(__GNUC__)
#define FER_API __attribute__((visibility("default")))
#else
#define FER_API
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fer_status {
  FER_OK = 0,
  FER_ERROR_RUNTIME = 1,
  FER_ERROR_SHAPE = 2,
  FER_ERROR_DTYPE = 3,
  FER_ERROR_VALUE = 4,
  FER_ERROR_INDEX = 5,
  FER_ERROR_DEVICE = 6,
  FER_ERROR_FORMAT = 7,
  FER_ERROR_MEMORY = 8,
  /* A result does not fit the caller's buffer; the sizes are filled in. */
  FER_ERROR_BUFFER = 9,
  FER_ERROR_CANCELLED = 10 /* by fer_session_cancel */
} fer_status;

typedef enum fer_dtype {
  FER_BOOL = 0, /* one byte, 0 or 1 */
  FER_U8 = 1,
  FER_I8 = 2,
  FER_I16 = 3,
  FER_I32 = 4,
  FER_I64 = 5,
  FER_F16 = 6,
  FER_BF16 = 7,
  FER_F32 = 8,
  FER_F64 = 9,
  FER_C64 = 10,
  FER_C128 = 11
} fer_dtype;

typedef struct fer_model_s* fer_model;
typedef struct fer_session_s* fer_session;

/* ------------------------------------------------------------------------- */
/* The library */

FER_API const char* fer_version(void); /* "0.1.0" */

/* Text of this thread's last error, "" if there was none. Valid until the next
 * call on this thread that fails. */
FER_API const char* fer_last_error(void);

typedef enum fer_log_level {
  FER_LOG_INFO = 0,
  FER_LOG_WARNING = 1
} fer_log_level;
typedef void (*fer_log_function)(void* user, int32_t level, const char* text);

/* From now on the library's messages (plans made, weights copied, settings that
 * it cannot follow) go to `function`, one call at a time, on the thread that
 * they come from. NULL: warnings go to the standard error output, the rest
 * nowhere. It must not throw, nor call fer_set_log. */
FER_API void fer_set_log(fer_log_function function, void* user);

/* Threads that all sessions of the process share. n < 1: the default, the
 * processors that this process may use. */
FER_API void fer_set_num_threads(int32_t n);
FER_API int32_t fer_num_threads(void);

/* Threads that the program lends to the library, in place of its own. */
typedef struct fer_thread_pool {
  uint32_t struct_size;
  int32_t threads; /* how many may run at once */
  void* user;      /* handed to `run` */
  /* Calls task(context, i) once for each i in [0, count), in any order and on
   * any threads, that of the caller or others; returns when all have returned.
   * It may be called on any thread that runs a session, never by two at once:
   * meanwhile the others work alone. Must not throw. */
  void (*run)(void* user, int64_t count, void (*task)(void* context, int64_t i),
              void* context);
} fer_thread_pool;

/* From now on work is given to `pool`, which is copied; NULL: to the library's
 * own threads again. Waits until running work is done, and is to be called
 * before `user` goes away. Results are the same bits for all pools. After
 * fer_set_num_threads(1) the pool is not called. The child of a fork starts
 * with the library's own threads. */
FER_API fer_status fer_set_thread_pool(const fer_thread_pool* pool);

/* Bytes of one element; 0 for an unknown dtype. */
FER_API size_t fer_dtype_size(int32_t dtype);

/* ------------------------------------------------------------------------- */
/* Models */

typedef struct fer_open_options {
  uint32_t struct_size;
  /* Non-zero: compare every weight with its checksum now, instead of when it is
   * first used. */
  int32_t verify_full;
} fer_open_options;

/* Maps a file; weights are not copied. `options` may be NULL. */
FER_API fer_status fer_model_open(const char* path,
                                  const fer_open_options* options,
                                  fer_model* out);
/* The same from memory, which is copied. */
FER_API fer_status fer_model_load(const void* data, size_t size,
                                  const fer_open_options* options,
                                  fer_model* out);
FER_API void fer_model_free(fer_model model);

/* An input, a result or a weight. */
typedef struct fer_value_info {
  uint32_t struct_size;
  int32_t dtype;
  const char* name;
  int32_t ndim;
  int32_t trainable;
  /* A size that is chosen at run time is -1, and symbols[i] its name; a size
   * that follows from others is -1 and has no name (NULL). */
  const int64_t* shape;
  const char* const* symbols;
} fer_value_info;

/* "forward", "train_step", ... NULL when `index` is out of range. */
FER_API int32_t fer_model_signature_count(fer_model model);
FER_API const char* fer_model_signature(fer_model model, int32_t index);

/* -1 when there is no such signature. */
FER_API int32_t fer_model_input_count(fer_model model, const char* signature);
FER_API int32_t fer_model_output_count(fer_model model, const char* signature);
FER_API fer_status fer_model_input(fer_model model, const char* signature,
                                   int32_t index, fer_value_info* out);
FER_API fer_status fer_model_output(fer_model model, const char* signature,
                                    int32_t index, fer_value_info* out);

/* Weights, buffers and optimizer slots. */
FER_API int32_t fer_model_state_count(fer_model model);
FER_API fer_status fer_model_state(fer_model model, int32_t index,
                                   fer_value_info* out);

/* NULL when the model does not have the key. */
FER_API const char* fer_model_metadata(fer_model model, const char* key);

/* ------------------------------------------------------------------------- */
/* Sessions */

typedef struct fer_session_options {
  uint32_t struct_size;
  int32_t max_plans;  /* memory plans kept, by input shapes; 0: the default */
  int64_t max_memory; /* cap in bytes; 0: what the machine has */
  int64_t max_steps;  /* of one loop in the model, in a run; 0: 2^40 */
  /* What is done to graphs before they run: NULL or "" for the usual passes,
   * "none", or a list such as "-epilogues" that leaves one out. */
  const char* passes;
} fer_session_options;

FER_API fer_status fer_session_create(fer_model model,
                                      const fer_session_options* options,
                                      fer_session* out);
FER_API void fer_session_free(fer_session session);

/* A dense row-major array. `size` is the bytes at `data`. */
typedef struct fer_buffer {
  uint32_t struct_size;
  int32_t dtype;
  int32_t ndim;
  const int64_t* shape;
  void* data;
  size_t size;
} fer_buffer;

/* Runs a signature; inputs and outputs in its order. Inputs are only read.
 * An output with data NULL is lent: the call fills in everything, and memory
 * and shape are the session's, valid until it runs again. Otherwise the result
 * is copied to `data`, where `size` bytes have room, and dtype, ndim, shape and
 * size are filled in. `noutputs` may be less than there are. */
FER_API fer_status fer_session_run(fer_session session, const char* signature,
                                   const fer_buffer* inputs, int32_t ninputs,
                                   fer_buffer* outputs, int32_t noutputs);

/* Ends the run in progress, which returns FER_ERROR_CANCELLED before its next
 * node, inside of loops too; nothing happens if there is none. May be called on
 * any thread. State that the signature writes may be left half written. */
FER_API void fer_session_cancel(fer_session session);

/* What a run needs, in bytes. Beyond max_memory it is refused. */
typedef struct fer_run_cost {
  uint32_t struct_size;
  int32_t steps;         /* kernels that run */
  int64_t arena_bytes;   /* intermediate values and results */
  int64_t scratch_bytes; /* of the kernel that needs most */
} fer_run_cost;

/* Checks inputs and plans, as a run does before it starts. Of the inputs only
 * dtype and shape are read. */
FER_API fer_status fer_session_prepare(fer_session session,
                                       const char* signature,
                                       const fer_buffer* inputs,
                                       int32_t ninputs, fer_run_cost* out);

/* A step of a run that has just ended: a kernel, or a node of control flow
 * after all that it ran. */
typedef struct fer_step {
  uint32_t struct_size;
  int32_t depth;      /* how many nodes around it run it; 0: none */
  const char* name;   /* "conv2d + batch_norm + relu" */
  const char* where;  /* module and source line, "" if unknown */
  int64_t begin, end; /* nanoseconds of a steady clock */
} fer_step;
typedef void (*fer_step_function)(void* user, const fer_step* step);

/* From now on `function` sees every step of the session's runs, on their
 * thread; NULL: nobody does. It must not throw, nor use the session. */
FER_API fer_status fer_session_watch(fer_session session,
                                     fer_step_function function, void* user);

/* Where the time goes: collects all steps from start to stop, in place of a
 * function that watches. `table`, if not NULL, becomes a text with the time of
 * each op, valid until the next start; `trace_path`, if not NULL, a file that
 * Perfetto and chrome://tracing show. */
FER_API fer_status fer_session_start_profile(fer_session session);
FER_API fer_status fer_session_stop_profile(fer_session session,
                                            const char* trace_path,
                                            const char** table);

/* Copies a weight, buffer or optimizer slot from or to the caller's memory,
 * which must have exactly its size. */
FER_API fer_status fer_session_get_state(fer_session session, const char* name,
                                         void* data, size_t size);
FER_API fer_status fer_session_set_state(fer_session session, const char* name,
                                         const void* data, size_t size);

/* The random state of dropout and the like. */
FER_API fer_status fer_session_get_rng(fer_session session, uint64_t* seed,
                                       uint64_t* offset);
FER_API fer_status fer_session_set_rng(fer_session session, uint64_t seed,
                                       uint64_t offset);

/* Runs the samples that are in the file; an error names the first result that
 * is not bitwise what it was where the model was made. */
FER_API fer_status fer_session_check(fer_session session);

/* Writes the model with the session's present state to a file, as a whole or
 * not at all. */
FER_API fer_status fer_session_save(fer_session session, const char* path);

#ifdef __cplusplus
}
#endif
#endif
