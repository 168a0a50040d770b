// Inputs for trying a model, where the command line gives none: the file's own
// sample, or numbers that are drawn, at sizes of choice.
#pragma once

#include <vector>

#include "runtime/tool/commands.h"

namespace ferrule::tool {

// Sizes of Program::symbols, by index.
using SymbolSizes = std::vector<int64_t>;

// Those of the signature's first sample, or else of its capture, with what
// --shape NAME=2,3 says of them. Throws UsageError for a shape that the input
// cannot have.
SymbolSizes sizes_asked_for(const Program& program, const Signature& signature,
                            const Args& args);

// Up to `count` sizes that differ from `sizes` in every symbol of the
// signature's inputs where the range of the symbol allows it.
std::vector<SymbolSizes> other_sizes(const Program& program,
                                     const Signature& signature,
                                     const SymbolSizes& sizes, size_t count);

// The inputs of the first sample of the signature, repeated or cut to these
// sizes. Where there is none: floating point numbers in [0, 1), the same in
// every run, and zeros elsewhere, which are an index in every table.
std::vector<Tensor> trial_inputs(const Program& program,
                                 const Signature& signature,
                                 const SymbolSizes& sizes);

// The files of --input if there are any, else trial inputs.
std::vector<Tensor> chosen_inputs(const Program& program,
                                  const Signature& signature, const Args& args);

// "batch = 3, length = 7"; "" without symbols.
std::string sizes_text(const Program& program, const Signature& signature,
                       const SymbolSizes& sizes);

}  // namespace ferrule::tool
