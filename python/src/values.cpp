// Elements as Python numbers, and tensors on the way between devices.
#include <bit>
#include <cmath>
#include <cstring>

#include "binding.h"
#include "call_site.h"
#include "ferrule/autograd.h"
#include "ferrule/capture.h"
#include "ferrule/ops.h"
#include "runtime/core/backend.h"

namespace ferrule::python {

float half_to_float(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h >> 15) << 31;
  uint32_t exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24
    float f = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -f : f;
  }
  uint32_t e = exponent == 31 ? 255 : exponent + 112;
  return std::bit_cast<float>(sign | e << 23 | mantissa << 13);
}

namespace {

template <class T>
T load(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

float bfloat_to_float(uint16_t b) {
  return std::bit_cast<float>(static_cast<uint32_t>(b) << 16);
}

}  // namespace

PyObject* element(const char* p, DType t) {
  switch (t) {
    case DType::bool_:
      return PyBool_FromLong(*p != 0);
    case DType::u8:
      return PyLong_FromLong(load<uint8_t>(p));
    case DType::i8:
      return PyLong_FromLong(load<int8_t>(p));
    case DType::i16:
      return PyLong_FromLong(load<int16_t>(p));
    case DType::i32:
      return PyLong_FromLong(load<int32_t>(p));
    case DType::i64:
      return PyLong_FromLongLong(load<int64_t>(p));
    case DType::f16:
      return PyFloat_FromDouble(half_to_float(load<uint16_t>(p)));
    case DType::bf16:
      return PyFloat_FromDouble(bfloat_to_float(load<uint16_t>(p)));
    case DType::f32:
      return PyFloat_FromDouble(load<float>(p));
    case DType::f64:
      return PyFloat_FromDouble(load<double>(p));
    case DType::c64:
      return PyComplex_FromDoubles(load<float>(p), load<float>(p + 4));
    case DType::c128:
      return PyComplex_FromDoubles(load<double>(p), load<double>(p + 8));
  }
  return nullptr;
}

Tensor on_host(const Tensor& t, const char* what) {
  if (t.device().is_graph()) {
    const std::string line = users_line();
    const std::string where = line.empty() ? "" : concat(" (at ", line, ")");
    if (Capture::at(t.device()).purpose() == Capture::For::replay) {
      fail<RuntimeError>(
          "[", what, "] inside of fe.vmap a tensor of shape ", t.shape(),
          " stands for every sample's and has no single value", where,
          "; a decision that depends on values must be written as an op, such "
          "as ferrule.where, and a number that is needed in Python be computed "
          "outside");
    }
    fail<RuntimeError>(
        "[", what, "] a symbolic tensor of shape ", t.shape(),
        " has no values while it is captured", where,
        "; a decision that depends on values must be written with fe.where or "
        "fe.cond, a loop with fe.while_loop, or the function be marked "
        "@fe.script; a number that Python needs must be an argument of its "
        "own");
  }
  if (t.device().is_cpu()) return t;
  NoGrad no_grad;
  return to_device(t.detach(), {});
}

PyObject* item(const Tensor& t) {
  if (t.numel() != 1) {
    fail<ValueError>("[item] a tensor of shape ", t.shape(), " has ", t.numel(),
                     " elements; item() is for one, use tolist()");
  }
  Tensor host = on_host(t, "item");
  return element(host->bytes(), host.dtype());
}

Tensor to_device(const Tensor& t, Device device) {
  if (t.device() == device) return t;
  if (t.device().is_graph() || device.is_graph()) {
    fail<DeviceError>("[to] tensors enter and leave the device 'graph' only by "
                      "capturing");
  }
  Tensor dense = t.is_contiguous() ? t : op::clone(t);
  Tensor there = Tensor::empty(t.shape(), t.dtype(), device);
  copy_bytes(there->storage->data, device, dense->bytes(), t.device(),
             dense->nbytes());
  if (!dense.requires_grad() || !grad_enabled()) return there;
  Device home = t.device();
  auto back = [home](const std::vector<Tensor>& grads) -> std::vector<Tensor> {
    return {grads[0] ? to_device(grads[0], home) : Tensor()};
  };
  std::vector<Tensor> out =
      custom_function({"to", back}, std::span(&dense, 1), std::span(&there, 1));
  return std::move(out[0]);
}

}  // namespace ferrule::python
