// Runs CPU kernels: dense copies of strided inputs, scratch, data errors.
#include <cstring>
#include <new>

#include "ferrule/op.h"
#include "runtime/core/allocator.h"
#include "runtime/cpu/epilogue.h"
#include "runtime/cpu/strided_copy.h"

namespace ferrule {
namespace {

constexpr int64_t align64(int64_t n) { return (n + 63) & ~int64_t{63}; }

template <class Visit>
void each_strided_input(const OpCall& c, const Visit& visit) {
  for (int i = 0; i < c.info.schema.n; ++i) {
    if (c.args[i].tag == ArgTag::tensor && !c.in(i).contiguous) visit(i);
  }
}

// Results without elements need no kernel, so kernels need no case for them.
bool has_work(const OpCall& c) {
  if (c.nouts == 0 || c.info.schema.mutates) return true;
  for (int i = 0; i < c.nouts; ++i) {
    if (c.alias[i] < 0 && c.outs[i]->numel != 0) return true;
  }
  return false;
}

const KernelDef& kernel_of(const OpCall& c) {
  const bool complex = c.info.cpu_complex && is_complex(c.compute);
  return complex ? *c.info.cpu_complex : *c.info.cpu;
}

}  // namespace

void* Workspace::reserve(int64_t bytes) {
  if (bytes > size) {
    if (data) data_free(data, size);
    data = data_alloc(bytes);
    size = data ? bytes : 0;
    if (!data) {
      fail<MemoryError>("out of memory: cannot allocate ", bytes,
                        " bytes of scratch");
    }
  }
  return data;
}

Workspace::~Workspace() {
  if (data) data_free(data, size);
}

int64_t workspace_bytes(const OpCall& c) {
  const KernelDef& k = kernel_of(c);
  int64_t bytes = k.scratch ? align64(k.scratch(c)) : 0;
  if (c.epilogue) bytes += c.epilogue->scratch_bytes();
  if (k.contiguous) {
    each_strided_input(c, [&](int i) { bytes += align64(c.in(i).nbytes()); });
  }
  return bytes;
}

void run_cpu_kernel(OpCall& c, void* workspace) {
  if (!has_work(c)) return;
  const KernelDef& k = kernel_of(c);
  char* p = static_cast<char*>(workspace);
  TensorImpl* strided[kMaxArgs] = {};
  if (k.contiguous) {
    each_strided_input(c, [&](int i) {
      TensorImpl* from = c.args[i].tensor;
      // A header on this stack over a borrowed storage: only `data` is used.
      TensorImpl* dense = new_impl();
      dense->dtype = from->dtype;
      dense->set_contiguous(from->sizes());
      dense->storage = new (small_alloc(sizeof(Storage))) Storage;
      dense->storage->data = p;
      dense->storage->release = [](Storage* s) {
        small_free(s, sizeof(Storage));
      };
      p += align64(from->nbytes());
      strided_copy(*from, *dense);
      strided[i] = from;
      c.args[i].tensor = dense;
    });
  }
  if (c.epilogue) {
    c.epilogue->begin(c.out_impl(), p);
    p += c.epilogue->scratch_bytes();
  }
  c.scratch = p;
  k.run ? k.run(c) : cpu::run_tiles(c, k.tiles);
  for (int i = 0; i < c.info.schema.n; ++i) {
    if (!strided[i]) continue;
    if (c.info.schema.params[i].mutated) {
      strided_copy(*c.args[i].tensor, *strided[i]);
    }
    release(c.args[i].tensor);
    c.args[i].tensor = strided[i];
  }
  c.raise_reported();
}

}  // namespace ferrule
