// Lets nanobind functions take and return ferrule::Tensor.
#pragma once

#include "binding.h"

namespace nanobind::detail {

template <>
struct type_caster<ferrule::Tensor> {
  NB_TYPE_CASTER(ferrule::Tensor, const_name("ferrule.Tensor"))

  bool from_python(handle src, uint32_t, cleanup_list*) noexcept {
    if (!ferrule::python::is_tensor(src.ptr())) return false;
    value = ferrule::python::tensor_of(src.ptr());
    return true;
  }
  static handle from_cpp(const ferrule::Tensor& t, rv_policy,
                         cleanup_list*) noexcept {
    return ferrule::python::guarded(
        [&] { return ferrule::python::wrap_or_none(t); });
  }
};

}  // namespace nanobind::detail
