/* The C ABI of a device plugin: memory, streams, events, copies, and a table of
 * kernels by op name and version. A plugin fills one fer_device_api and hands
 * it to fer_register_device. tests/cpp/mock_device.cpp is a complete small
 * plugin.
 *
 * Work is stream-ordered: kernels and async copies return at once and run in
 * order on their stream. Functions return 0 or an error code of the plugin,
 * whose text `error_text` gives. */
#ifndef FERRULE_DEVICE_ABI_H_
#define FERRULE_DEVICE_ABI_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FER_DEVICE_ABI_VERSION 1

typedef struct fer_stream_s* fer_stream;
typedef struct fer_event_s* fer_event;

/* A tensor as a kernel sees it. dtype: ferrule::DType. Strides in elements. */
typedef struct fer_view {
  void* data;
  const int64_t* shape;
  const int64_t* strides;
  int64_t numel;
  uint8_t dtype;
  uint8_t ndim;
  uint8_t reserved[6];
} fer_view;

typedef enum fer_attr_tag {
  FER_ATTR_NONE = 0,
  FER_ATTR_TENSOR = 1, /* value.view; list of length n: value.views */
  FER_ATTR_TENSORS = 2,
  FER_ATTR_INT = 3,
  FER_ATTR_FLOAT = 4,
  FER_ATTR_BOOL = 5,
  FER_ATTR_INTS = 6,
  FER_ATTR_STRING = 7,
  FER_ATTR_DTYPE = 8,
  FER_ATTR_DEVICE = 9
} fer_attr_tag;

/* One argument, by position of the op's signature. */
typedef struct fer_attr {
  uint8_t tag;
  int32_t n;
  union {
    const fer_view* view;
    const fer_view* const* views; /* entries may be NULL */
    int64_t i;                    /* also bool and dtype */
    double f;
    const int64_t* ints;
    const char* str;
  } value;
} fer_attr;

typedef struct fer_kernel_call {
  uint32_t struct_size;
  int32_t nargs;
  const fer_attr* args;
  int32_t nouts;
  uint8_t compute; /* dtype that the arithmetic is done in */
  uint8_t device_index;
  const fer_view* outs;
  uint64_t seed, offset; /* of random ops */
  fer_stream stream;
} fer_kernel_call;

/* 0: queued; otherwise an error code. */
typedef int (*fer_kernel)(const fer_kernel_call* call);

typedef struct fer_device_api {
  uint32_t struct_size;
  uint32_t abi_version;
  const char* name; /* "cuda" */
  int32_t device_count;

  int (*alloc)(int32_t device, int64_t nbytes, void** out);
  /* Stream-ordered: memory may be in use by queued work of the stream. */
  void (*free)(int32_t device, void* ptr);

  fer_stream (*current_stream)(int32_t device);
  int (*stream_create)(int32_t device, fer_stream* out);
  void (*stream_destroy)(fer_stream stream);
  int (*stream_synchronize)(fer_stream stream);

  int (*event_create)(int32_t device, fer_event* out);
  void (*event_destroy)(fer_event event);
  int (*event_record)(fer_event event, fer_stream stream);
  int (*event_wait)(fer_event event, fer_stream stream);
  int (*event_synchronize)(fer_event event);

  int (*copy_from_host)(int32_t device, void* dst, const void* src,
                        int64_t nbytes, fer_stream stream);
  int (*copy_to_host)(int32_t device, void* dst, const void* src,
                      int64_t nbytes, fer_stream stream);
  int (*copy_within)(int32_t device, void* dst, const void* src, int64_t nbytes,
                     fer_stream stream);

  /* NULL: none of that name and version. */
  fer_kernel (*find_kernel)(const char* op, uint16_t version);
  const char* (*error_text)(int code);
} fer_device_api;

#ifdef __cplusplus
}
#endif
#endif
