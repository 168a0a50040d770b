// The mock device. Memory is XOR-ed so that a kernel or copy of the host which
// touches it by mistake computes nonsense and a test notices.
#include "mock_device.h"

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ferrule::test {
namespace {

constexpr unsigned char kMask = 0xA5;
std::atomic<int> allocs{0}, frees{0}, kernels{0}, copies{0};

void copy_masked(void* dst, const void* src, int64_t nbytes) {
  auto* d = static_cast<unsigned char*>(dst);
  auto* s = static_cast<const unsigned char*>(src);
  for (int64_t i = 0; i < nbytes; ++i) d[i] = s[i] ^ kMask;
}

// In-order queue of work with a thread of its own.
class Stream {
 public:
  Stream() : thread_([this] { work(); }) {}
  ~Stream() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void push(std::function<void()> f) {
    {
      std::lock_guard lock(mutex_);
      queue_.push_back(std::move(f));
      ++pushed_;
    }
    changed_.notify_all();
  }
  uint64_t pushed() {
    std::lock_guard lock(mutex_);
    return pushed_;
  }
  void wait_for(uint64_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done_ >= count; });
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      auto f = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      f();
      lock.lock();
      ++done_;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  uint64_t pushed_ = 0, done_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

struct Event {
  Stream* stream = nullptr;
  uint64_t at = 0;
};

Stream& default_stream(int device) {
  static auto* streams = new Stream[2];
  return streams[device];
}
Stream* as_stream(fer_stream s) { return reinterpret_cast<Stream*>(s); }
Event* as_event(fer_event e) { return reinterpret_cast<Event*>(e); }

// --- kernels: float32, dense, on unmasked copies of the data ----------------

int64_t bytes_of(const fer_view& v) { return v.numel * 4; }

bool dense_f32(const fer_view& v) {
  int64_t step = 1;
  for (int i = v.ndim - 1; i >= 0; --i) {
    if (v.shape[i] != 1 && v.strides[i] != step) return false;
    step *= v.shape[i];
  }
  return v.dtype == 8;
}

std::vector<float> read(const fer_view& v) {
  std::vector<float> x(v.numel);
  copy_masked(x.data(), v.data, bytes_of(v));
  return x;
}

enum { kUnsupported = 7 };

template <class F>
int binary(const fer_kernel_call* call, F f) {
  if (call->args[0].tag != FER_ATTR_TENSOR ||
      call->args[1].tag != FER_ATTR_TENSOR) {
    return kUnsupported;
  }
  const fer_view a = *call->args[0].value.view;
  const fer_view b = *call->args[1].value.view;
  const fer_view out = call->outs[0];
  if (a.numel != out.numel || b.numel != out.numel || !dense_f32(a) ||
      !dense_f32(b)) {
    return kUnsupported;
  }
  as_stream(call->stream)->push([=] {
    auto x = read(a), y = read(b);
    for (size_t i = 0; i < x.size(); ++i) x[i] = f(x[i], y[i]);
    copy_masked(out.data, x.data(), bytes_of(out));
    ++kernels;
  });
  return 0;
}

int add(const fer_kernel_call* c) {
  return binary(c, [](float a, float b) { return a + b; });
}
int mul(const fer_kernel_call* c) {
  return binary(c, [](float a, float b) { return a * b; });
}
int full(const fer_kernel_call* c) {
  const fer_view out = c->outs[0];
  float value = c->args[1].tag == FER_ATTR_FLOAT
                    ? static_cast<float>(c->args[1].value.f)
                    : static_cast<float>(c->args[1].value.i);
  if (!dense_f32(out)) return kUnsupported;
  as_stream(c->stream)->push([=] {
    std::vector<float> x(out.numel, value);
    copy_masked(out.data, x.data(), bytes_of(out));
    ++kernels;
  });
  return 0;
}
int clone(const fer_kernel_call* c) {
  const fer_view in = *c->args[0].value.view, out = c->outs[0];
  if (!dense_f32(in)) return kUnsupported;
  as_stream(c->stream)->push([=] {
    std::memcpy(out.data, in.data, bytes_of(out));
    ++kernels;
  });
  return 0;
}

fer_kernel find_kernel(const char* op, uint16_t version) {
  if (version != 1) return nullptr;
  std::string name = op;
  if (name == "add") return add;
  if (name == "mul") return mul;
  if (name == "full") return full;
  if (name == "clone") return clone;
  return nullptr;
}

fer_device_api make_api() {
  fer_device_api api{};
  api.struct_size = sizeof api;
  api.abi_version = FER_DEVICE_ABI_VERSION;
  api.name = "mock";
  api.device_count = 2;
  api.alloc = [](int32_t, int64_t nbytes, void** out) {
    if (nbytes > (int64_t{1} << 30)) return 1;
    *out = std::malloc(nbytes ? nbytes : 1);
    ++allocs;
    return *out ? 0 : 1;
  };
  api.free = [](int32_t device, void* p) {
    // Queued work may still use it.
    default_stream(device).push([p] {
      std::free(p);
      ++frees;
    });
  };
  api.current_stream = [](int32_t device) {
    return reinterpret_cast<fer_stream>(&default_stream(device));
  };
  api.stream_create = [](int32_t, fer_stream* out) {
    *out = reinterpret_cast<fer_stream>(new Stream);
    return 0;
  };
  api.stream_destroy = [](fer_stream s) { delete as_stream(s); };
  api.stream_synchronize = [](fer_stream s) {
    as_stream(s)->wait_for(as_stream(s)->pushed());
    return 0;
  };
  api.event_create = [](int32_t, fer_event* out) {
    *out = reinterpret_cast<fer_event>(new Event);
    return 0;
  };
  api.event_destroy = [](fer_event e) { delete as_event(e); };
  api.event_record = [](fer_event e, fer_stream s) {
    *as_event(e) = {as_stream(s), as_stream(s)->pushed()};
    return 0;
  };
  api.event_wait = [](fer_event e, fer_stream s) {
    Event event = *as_event(e);
    as_stream(s)->push([event] { event.stream->wait_for(event.at); });
    return 0;
  };
  api.event_synchronize = [](fer_event e) {
    as_event(e)->stream->wait_for(as_event(e)->at);
    return 0;
  };
  api.copy_from_host = [](int32_t, void* dst, const void* src, int64_t n,
                          fer_stream s) {
    as_stream(s)->push([=] {
      copy_masked(dst, src, n);
      ++copies;
    });
    return 0;
  };
  api.copy_to_host = api.copy_from_host;
  api.copy_within = [](int32_t, void* dst, const void* src, int64_t n,
                       fer_stream s) {
    as_stream(s)->push([=] {
      std::memcpy(dst, src, n);
      ++copies;
    });
    return 0;
  };
  api.find_kernel = find_kernel;
  api.error_text = [](int code) {
    return code == kUnsupported ? "only dense float32 is supported"
                                : "unknown error";
  };
  return api;
}

}  // namespace

const fer_device_api* mock_device() {
  static const fer_device_api api = make_api();
  return &api;
}

MockCounts mock_counts() {
  return {allocs.load(), frees.load(), kernels.load(), copies.load()};
}

}  // namespace ferrule::test
