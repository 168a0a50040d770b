// Registry of device plugins; storage, copies and kernel calls through them.
#include "runtime/core/backend.h"

#include <cstring>
#include <mutex>

namespace ferrule {
namespace {

struct Registry {
  std::mutex mutex;
  std::atomic<const fer_device_api*> api[kMaxDeviceKinds] = {};
};
Registry& registry() {
  static auto* r = new Registry;
  return *r;
}

const fer_device_api* api_at(int kind) {
  return registry().api[kind].load(std::memory_order_acquire);
}

void check(const fer_device_api* api, int code, const char* what) {
  if (code == 0) return;
  const char* text = api->error_text ? api->error_text(code) : nullptr;
  fail<DeviceError>("[", api->name, "] ", what,
                    " failed: ", text ? text : "no reason given", " (code ",
                    code, ")");
}

void release_backend(Storage* s) {
  const fer_device_api* api = api_at(static_cast<int>(s->device.kind));
  api->free(s->device.index, s->data);
  delete s;
}

// A plugin kernel's view of a tensor.
fer_view view_of(const TensorImpl* t) {
  fer_view v{};
  v.data = t->bytes();
  v.shape = t->shape;
  v.strides = t->strides;
  v.numel = t->numel;
  v.dtype = static_cast<uint8_t>(t->dtype);
  v.ndim = t->ndim;
  return v;
}

}  // namespace

DeviceKind register_backend(const fer_device_api* api) {
  if (api->abi_version != FER_DEVICE_ABI_VERSION) {
    fail<DeviceError>("device plugin '", api->name, "' speaks ABI version ",
                      api->abi_version, "; this library speaks ",
                      FER_DEVICE_ABI_VERSION);
  }
  Registry& r = registry();
  std::lock_guard lock(r.mutex);
  for (int k = static_cast<int>(DeviceKind::plugin); k < kMaxDeviceKinds; ++k) {
    const fer_device_api* there = r.api[k].load();
    if (there && std::strcmp(there->name, api->name) == 0) {
      fail<DeviceError>("a device '", api->name, "' is already registered");
    }
    if (!there) {
      r.api[k].store(api, std::memory_order_release);
      return static_cast<DeviceKind>(k);
    }
  }
  fail<DeviceError>("no room for device '", api->name, "': at most ",
                    kMaxDeviceKinds - 2, " plugins");
}

const fer_device_api* backend_of(Device device) {
  int kind = static_cast<int>(device.kind);
  const fer_device_api* api = kind < kMaxDeviceKinds ? api_at(kind) : nullptr;
  if (!api) fail<DeviceError>("no device plugin behind device number ", kind);
  return api;
}

std::string to_string(Device device) {
  if (device.is_cpu()) return "cpu";
  if (device.is_graph()) return "graph";
  return concat(backend_of(device)->name, ":", device.index);
}

Device parse_device(std::string_view text) {
  if (text == "cpu" || text == "cpu:0") return {};
  if (text == "graph") return {DeviceKind::graph, 0};
  std::string_view kind = text.substr(0, text.find(':'));
  std::string_view rest = kind.size() < text.size()
                              ? text.substr(kind.size() + 1)
                              : std::string_view("0");
  std::string present = "cpu";
  for (int k = static_cast<int>(DeviceKind::plugin); k < kMaxDeviceKinds; ++k) {
    const fer_device_api* api = api_at(k);
    if (!api) break;
    for (int i = 0; i < api->device_count; ++i) {
      present += concat(", ", api->name, ":", i);
    }
    if (kind != api->name) continue;
    int index = 0;
    bool ok = !rest.empty() && rest.size() <= 3;
    for (char c : rest) {
      ok = ok && c >= '0' && c <= '9';
      index = index * 10 + (c - '0');
    }
    if (ok && index < api->device_count) {
      return {static_cast<DeviceKind>(k), static_cast<uint8_t>(index)};
    }
  }
  fail<DeviceError>("no device '", text, "'; present: ", present);
}

Storage* new_backend_storage(int64_t nbytes, Device device) {
  const fer_device_api* api = backend_of(device);
  void* data = nullptr;
  if (int code = api->alloc(device.index, nbytes, &data); code != 0) {
    fail<MemoryError>("out of memory: cannot allocate ", nbytes, " bytes on ",
                      device, " (code ", code, ")");
  }
  auto* s = new Storage;
  s->data = data;
  s->nbytes = nbytes;
  s->device = device;
  s->release = release_backend;
  return s;
}

void copy_bytes(void* dst, Device dst_device, const void* src,
                Device src_device, int64_t nbytes) {
  if (nbytes == 0) return;
  if (dst_device.is_cpu() && src_device.is_cpu()) {
    std::memcpy(dst, src, nbytes);
    return;
  }
  if (dst_device.is_cpu() || src_device.is_cpu()) {
    bool to_host = dst_device.is_cpu();
    Device device = to_host ? src_device : dst_device;
    const fer_device_api* api = backend_of(device);
    fer_stream stream = api->current_stream(device.index);
    auto copy = to_host ? api->copy_to_host : api->copy_from_host;
    check(api, copy(device.index, dst, src, nbytes, stream), "copy");
    check(api, api->stream_synchronize(stream), "copy");
    return;
  }
  if (dst_device == src_device) {
    const fer_device_api* api = backend_of(dst_device);
    fer_stream stream = api->current_stream(dst_device.index);
    check(api, api->copy_within(dst_device.index, dst, src, nbytes, stream),
          "copy");
    return;
  }
  // Between plugins: through host memory.
  auto* bounce = new char[nbytes];
  copy_bytes(bounce, {}, src, src_device, nbytes);
  copy_bytes(dst, dst_device, bounce, {}, nbytes);
  delete[] bounce;
}

void synchronize(Device device) {
  if (device.is_cpu() || device.is_graph()) return;
  const fer_device_api* api = backend_of(device);
  check(api, api->stream_synchronize(api->current_stream(device.index)),
        "synchronize");
}

bool run_backend_kernel(OpCall& c) {
  const fer_device_api* api = backend_of(c.device);
  auto& slot = c.info.plugin[static_cast<int>(c.device.kind)];
  auto kernel = reinterpret_cast<fer_kernel>(
      const_cast<void*>(slot.load(std::memory_order_acquire)));
  if (!kernel) {
    kernel = api->find_kernel(c.op.name, c.op.version);
    if (!kernel) return false;
    slot.store(reinterpret_cast<const void*>(kernel),
               std::memory_order_release);
  }
  // Views and sizes of one call; lists are rare and go to the heap.
  fer_view views[kMaxArgs];
  fer_attr attrs[kMaxArgs];
  fer_view outs[kMaxOuts];
  std::vector<fer_view> list_views;
  std::vector<const fer_view*> list_pointers;
  std::vector<int64_t> sizes;
  size_t nlist = 0, nsizes = 0;
  for (int i = 0; i < c.info.schema.n; ++i) {
    if (c.args[i].tag == ArgTag::tensors) nlist += c.args[i].n;
    if (c.args[i].tag == ArgTag::ints) nsizes += c.args[i].n;
  }
  list_views.reserve(nlist);
  list_pointers.reserve(nlist);
  sizes.reserve(nsizes);
  for (int i = 0; i < c.info.schema.n; ++i) {
    const Arg& a = c.args[i];
    fer_attr& out = attrs[i];
    out.tag = static_cast<uint8_t>(a.tag);
    out.n = a.n;
    switch (a.tag) {
      case ArgTag::tensor:
        views[i] = view_of(a.tensor);
        out.value.view = &views[i];
        break;
      case ArgTag::tensors: {
        size_t first = list_pointers.size();
        for (int k = 0; k < a.n; ++k) {
          if (a.tensors[k]) list_views.push_back(view_of(a.tensors[k]));
          list_pointers.push_back(a.tensors[k] ? &list_views.back() : nullptr);
        }
        out.value.views = list_pointers.data() + first;
        break;
      }
      case ArgTag::ints: {
        size_t first = sizes.size();
        for (int k = 0; k < a.n; ++k) sizes.push_back(a.ints[k].value);
        out.value.ints = sizes.data() + first;
        break;
      }
      case ArgTag::float_:
        out.value.f = a.f;
        break;
      case ArgTag::bool_:
        out.value.i = a.b;
        break;
      case ArgTag::str:
        out.value.str = a.str;
        break;
      case ArgTag::dtype:
        out.value.i = static_cast<int>(a.dtype);
        break;
      default:
        out.value.i = a.i;
    }
  }
  for (int i = 0; i < c.nouts; ++i) outs[i] = view_of(c.outs[i]);
  fer_kernel_call call{};
  call.struct_size = sizeof call;
  call.nargs = c.info.schema.n;
  call.args = attrs;
  call.nouts = c.nouts;
  call.compute = static_cast<uint8_t>(c.compute);
  call.device_index = c.device.index;
  call.outs = outs;
  call.seed = c.rng.seed;
  call.offset = c.rng.offset;
  call.stream = api->current_stream(c.device.index);
  check(api, kernel(&call), c.op.name);
  return true;
}

}  // namespace ferrule
