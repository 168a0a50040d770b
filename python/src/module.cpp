// The module ferrule._ferrule: puts the parts together.
#include "binding.h"
#include "call_site.h"
#include "capture_py.h"
#include "random_py.h"

NB_MODULE(_ferrule, m) {
  using namespace ferrule::python;
  m.doc() = "The compiled part of Ferrule; import `ferrule` instead.";
  m.attr("__version__") = FERRULE_VERSION;
  // A tensor in a variable of a program may hold its functions by its history,
  // and they the variable, until the process ends. That is nothing to be told
  // of.
  nanobind::set_leak_warnings(false);
  register_errors(m);
  bind_dtypes(m);
  bind_promotion(m);
  bind_symint(m);
  bind_tensor_type(m);
  bind_return_types(m);
  bind_ops(m);
  bind_constructors(m);
  bind_dlpack(m);
  bind_pickle(m);
  bind_repr(m);
  bind_autograd(m);
  bind_modes(m);
  bind_autocast(m);
  bind_nodes(m);
  bind_call_sites();
  bind_generators(m);
  bind_process(m);
  bind_profile(m);
  bind_op_table(m);
  bind_capture(m);
  bind_compiled(m);
}
