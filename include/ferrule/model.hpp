// C++ on top of the C ABI (ferrule.h), in one header: run and train `.fer`
// models.
//
//   auto model = fe::Model::open("digits.fer");
//   auto logits = model.run({{"x", fe::Array(pixels, {1, 1, 28, 28})}})[0];
//   for (float v : logits.values<float>()) std::printf("%g\n", v);
//
// Errors are thrown as fe::Error. Everything crosses into the library through
// C, so a program and the library may be built by different compilers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ferrule/ferrule.h"

namespace ferrule::client {

class Error : public std::runtime_error {
 public:
  Error(fer_status status, const std::string& text)
      : std::runtime_error(text), status_(status) {}
  fer_status status() const { return status_; }

 private:
  fer_status status_;
};

inline void check(fer_status status) {
  if (status != FER_OK) throw Error(status, fer_last_error());
}

template <class T>
constexpr fer_dtype dtype_of() {
  if constexpr (std::is_same_v<T, bool>)
    return FER_BOOL;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return FER_U8;
  else if constexpr (std::is_same_v<T, int8_t>)
    return FER_I8;
  else if constexpr (std::is_same_v<T, int16_t>)
    return FER_I16;
  else if constexpr (std::is_same_v<T, int32_t>)
    return FER_I32;
  else if constexpr (std::is_same_v<T, int64_t>)
    return FER_I64;
  else if constexpr (std::is_same_v<T, float>)
    return FER_F32;
  else if constexpr (std::is_same_v<T, double>)
    return FER_F64;
  else
    static_assert(sizeof(T) == 0, "no dtype for this type");
}

// A dense row-major array. Copies of it share the memory.
class Array {
 public:
  Array() = default;

  // Copies the values.
  template <class T>
  Array(const std::vector<T>& values, std::vector<int64_t> shape)
      : Array(dtype_of<T>(), std::move(shape)) {
    if (values.size() != size()) {
      throw Error(FER_ERROR_VALUE, "[Array] " + std::to_string(values.size()) +
                                       " values for a shape of " +
                                       std::to_string(size()));
    }
    if (bytes_) std::memcpy(data_.get(), values.data(), bytes_);
  }

  // Uninitialised.
  Array(fer_dtype dtype, std::vector<int64_t> shape)
      : dtype_(dtype), shape_(std::move(shape)) {
    bytes_ = size() * fer_dtype_size(dtype);
    data_.reset(new std::byte[bytes_ ? bytes_ : 1],
                std::default_delete<std::byte[]>());
  }

  // A number, as an array of no dimensions.
  template <class T>
  static Array scalar(T value) {
    return Array(std::vector<T>{value}, {});
  }

  // Looks at the caller's memory, which must stay while the array is used.
  template <class T>
  static Array borrow(const T* values, std::vector<int64_t> shape) {
    Array a;
    a.dtype_ = dtype_of<T>();
    a.shape_ = std::move(shape);
    a.bytes_ = a.size() * sizeof(T);
    a.data_ = std::shared_ptr<std::byte>(
        reinterpret_cast<std::byte*>(const_cast<T*>(values)),
        [](std::byte*) {});
    return a;
  }

  fer_dtype dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  size_t size() const {  // elements
    size_t n = 1;
    for (int64_t d : shape_) n *= d < 0 ? 0 : static_cast<size_t>(d);
    return n;
  }
  size_t bytes() const { return bytes_; }
  void* data() const { return data_.get(); }

  // The elements; throws when T is not what the array holds.
  template <class T>
  std::span<T> values() const {
    if (dtype_of<T>() != dtype_) {
      throw Error(FER_ERROR_DTYPE, "[Array] the elements are of dtype " +
                                       std::to_string(dtype_) + ", not " +
                                       std::to_string(dtype_of<T>()));
    }
    return {reinterpret_cast<T*>(data_.get()), size()};
  }
  // The only element, e.g. of a loss.
  template <class T>
  T item() const {
    if (size() != 1) {
      throw Error(FER_ERROR_VALUE,
                  "[Array] item() of " + std::to_string(size()) + " elements");
    }
    return values<T>()[0];
  }

 private:
  fer_dtype dtype_ = FER_F32;
  std::vector<int64_t> shape_ = {0};
  size_t bytes_ = 0;
  std::shared_ptr<std::byte> data_;
};

using Named = std::pair<std::string, Array>;

// What the file says of an input, a result or a weight.
struct Value {
  std::string name;
  fer_dtype dtype;
  // A size that is chosen at run time is -1, and symbols[i] its name; a size
  // that follows from others is -1 and has no name.
  std::vector<int64_t> shape;
  std::vector<std::string> symbols;
  bool trainable;
};

// Results of a run, by position or by name.
class Results {
 public:
  Results(std::vector<std::string> names, std::vector<Array> arrays)
      : names_(std::move(names)), arrays_(std::move(arrays)) {}
  size_t size() const { return arrays_.size(); }
  auto begin() const { return arrays_.begin(); }
  auto end() const { return arrays_.end(); }
  const std::vector<std::string>& names() const { return names_; }
  const Array& operator[](size_t i) const { return arrays_.at(i); }
  const Array& operator[](std::string_view name) const {
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return arrays_[i];
    }
    throw Error(FER_ERROR_VALUE, "no result '" + std::string(name) + "'");
  }
  const Array& operator[](const char* name) const {
    return (*this)[std::string_view(name)];
  }
  const Array& operator[](int i) const {
    return arrays_.at(static_cast<size_t>(i));
  }

 private:
  std::vector<std::string> names_;
  std::vector<Array> arrays_;
};

class Model;

// Runs a model, and owns what changes while it does. One caller at a time.
class Session {
 public:
  explicit Session(const Model& model, fer_session_options options = {});

  // Inputs in the signature's order, or by name.
  Results run(const std::string& signature, const std::vector<Array>& inputs);
  Results run(const std::string& signature, const std::vector<Named>& inputs);
  Results run(const std::vector<Named>& inputs) {
    return run("forward", inputs);
  }

  Array state(const std::string& name) const;
  void set_state(const std::string& name, const Array& value) {
    check(fer_session_set_state(handle_.get(), name.c_str(), value.data(),
                                value.bytes()));
  }
  void set_rng(uint64_t seed, uint64_t offset = 0) {
    check(fer_session_set_rng(handle_.get(), seed, offset));
  }
  // Ends the run in progress, on another thread, which throws an Error with the
  // status FER_ERROR_CANCELLED.
  void cancel() { fer_session_cancel(handle_.get()); }

  // Where the time of the runs in between went: a table, by op, and if asked a
  // trace for Perfetto and chrome://tracing.
  void start_profile() { check(fer_session_start_profile(handle_.get())); }
  std::string stop_profile(const std::string& trace_path = "") {
    const char* table = "";
    check(fer_session_stop_profile(
        handle_.get(), trace_path.empty() ? nullptr : trace_path.c_str(),
        &table));
    return table;
  }

  // Compares the samples in the file; throws when a result differs.
  void check_samples() { check(fer_session_check(handle_.get())); }
  void save(const std::string& path) {
    check(fer_session_save(handle_.get(), path.c_str()));
  }
  fer_session handle() const { return handle_.get(); }

 private:
  struct Free {
    void operator()(fer_session s) const { fer_session_free(s); }
  };
  std::shared_ptr<fer_model_s> model_;
  std::unique_ptr<fer_session_s, Free> handle_;
};

// An opened file. Copies share it; it may be used by any number of threads,
// but for run(), which has one session behind it.
class Model {
 public:
  explicit Model(const std::string& path, bool verify_full = false) {
    const fer_open_options options = {sizeof options, verify_full};
    fer_model m = nullptr;
    check(fer_model_open(path.c_str(), &options, &m));
    handle_.reset(m, fer_model_free);
  }
  static Model open(const std::string& path) { return Model(path); }
  static Model load(std::span<const std::byte> file) {
    fer_model m = nullptr;
    check(fer_model_load(file.data(), file.size(), nullptr, &m));
    Model model;
    model.handle_.reset(m, fer_model_free);
    return model;
  }

  // "forward", by name. The session behind it is made by the first run.
  Results run(const std::vector<Named>& inputs) {
    return session().run("forward", inputs);
  }
  // Another entry point, with the state that "forward" has.
  Results run(const std::string& entry, const std::vector<Named>& inputs) {
    return session().run(entry, inputs);
  }
  Session& session() {
    if (!session_) session_ = std::make_shared<Session>(*this);
    return *session_;
  }

  std::vector<std::string> signatures() const {
    std::vector<std::string> out;
    for (int32_t i = 0; i < fer_model_signature_count(handle()); ++i) {
      out.push_back(fer_model_signature(handle(), i));
    }
    return out;
  }
  std::vector<std::string> inputs(const std::string& signature) const {
    return names(input_values(signature));
  }
  std::vector<std::string> outputs(const std::string& signature) const {
    return names(output_values(signature));
  }
  std::vector<Value> input_values(const std::string& signature) const {
    return values(fer_model_input_count(handle(), signature.c_str()), signature,
                  fer_model_input);
  }
  std::vector<Value> output_values(const std::string& signature) const {
    return values(fer_model_output_count(handle(), signature.c_str()),
                  signature, fer_model_output);
  }
  // Weights, buffers and optimizer slots.
  std::vector<Value> state_values() const {
    const auto get = [](fer_model m, const char*, int32_t i,
                        fer_value_info* info) {
      return fer_model_state(m, i, info);
    };
    return values(fer_model_state_count(handle()), "", get);
  }
  // Text that is stored with the model.
  std::optional<std::string> metadata(const std::string& key) const {
    const char* text = fer_model_metadata(handle(), key.c_str());
    return text ? std::optional<std::string>(text) : std::nullopt;
  }
  fer_model handle() const { return handle_.get(); }

 private:
  friend class Session;
  Model() = default;

  static std::vector<std::string> names(const std::vector<Value>& values) {
    std::vector<std::string> out;
    for (const Value& v : values) out.push_back(v.name);
    return out;
  }
  // `count` is -1 where there is no such signature.
  template <class Get>
  std::vector<Value> values(int32_t count, const std::string& signature,
                            Get get) const {
    if (count < 0) {
      throw Error(FER_ERROR_VALUE,
                  "the model has no signature '" + signature + "'");
    }
    std::vector<Value> out;
    for (int32_t i = 0; i < count; ++i) {
      fer_value_info info = {};
      info.struct_size = sizeof info;
      check(get(handle(), signature.c_str(), i, &info));
      Value& v = out.emplace_back();
      v.name = info.name;
      v.dtype = static_cast<fer_dtype>(info.dtype);
      v.trainable = info.trainable != 0;
      v.shape.assign(info.shape, info.shape + info.ndim);
      for (int32_t d = 0; d < info.ndim; ++d) {
        v.symbols.push_back(info.symbols[d] ? info.symbols[d] : "");
      }
    }
    return out;
  }

  std::shared_ptr<fer_model_s> handle_;
  std::shared_ptr<Session> session_;
};

inline Session::Session(const Model& model, fer_session_options options)
    : model_(model.handle_) {
  options.struct_size = sizeof options;
  fer_session s = nullptr;
  check(fer_session_create(model_.get(), &options, &s));
  handle_.reset(s);
}

inline Results Session::run(const std::string& signature,
                            const std::vector<Array>& inputs) {
  Model model;
  model.handle_ = model_;
  std::vector<std::string> names = model.outputs(signature);
  std::vector<fer_buffer> in, out(names.size());
  for (const Array& a : inputs) {
    in.push_back({sizeof(fer_buffer), a.dtype(),
                  static_cast<int32_t>(a.shape().size()), a.shape().data(),
                  a.data(), a.bytes()});
  }
  for (fer_buffer& b : out) b.struct_size = sizeof b;
  check(fer_session_run(handle_.get(), signature.c_str(), in.data(),
                        static_cast<int32_t>(in.size()), out.data(),
                        static_cast<int32_t>(out.size())));
  std::vector<Array> results;
  for (const fer_buffer& b : out) {
    results.emplace_back(static_cast<fer_dtype>(b.dtype),
                         std::vector<int64_t>(b.shape, b.shape + b.ndim));
    if (b.size) std::memcpy(results.back().data(), b.data, b.size);
  }
  return {std::move(names), std::move(results)};
}

inline Results Session::run(const std::string& signature,
                            const std::vector<Named>& inputs) {
  Model model;
  model.handle_ = model_;
  const std::vector<std::string> names = model.inputs(signature);
  std::vector<Array> ordered(names.size());
  std::vector<bool> given(names.size());
  for (const auto& [name, array] : inputs) {
    size_t i = 0;
    while (i < names.size() && names[i] != name) ++i;
    if (i == names.size() || given[i]) {
      throw Error(FER_ERROR_VALUE,
                  "[" + signature + "] " +
                      (i == names.size() ? "has no input '"
                                         : "is given twice the input '") +
                      name + "'");
    }
    ordered[i] = array;
    given[i] = true;
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!given[i]) {
      throw Error(FER_ERROR_VALUE,
                  "[" + signature + "] input '" + names[i] + "' is missing");
    }
  }
  return run(signature, ordered);
}

inline Array Session::state(const std::string& name) const {
  Model model;
  model.handle_ = model_;
  for (const Value& v : model.state_values()) {
    if (v.name != name) continue;
    Array a(v.dtype, v.shape);
    check(fer_session_get_state(handle_.get(), name.c_str(), a.data(),
                                a.bytes()));
    return a;
  }
  throw Error(FER_ERROR_VALUE, "the model has no state '" + name + "'");
}

}  // namespace ferrule::client

// Programs that use the whole library name namespace ferrule themselves.
#ifndef FERRULE_NO_FE
namespace fe = ferrule::client;
#endif
