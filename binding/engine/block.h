// One transformer block: own code on packed weights, or the module's block as a black box. Both answer the same probes
// of the class token.
#pragma once

#include <memory>

#include "engine/module_reader.h"

namespace kfd::engine {

// What a caller wants to know of a block besides its output. B images, H heads, N tokens, d head width.
struct BlockProbe {
  bool attention = false;
  at::Tensor pulled_direction;  // (H,d): W_O^T (ls1 * u), see Block::pull; undefined: no contribution wanted
  bool any() const { return attention || pulled_direction.defined(); }
};

struct BlockAnswer {
  at::Tensor attention;     // (B,H,N) softmax row of the class query
  at::Tensor contribution;  // (B,N) share of token n in the attention update of the class token along u
};

// norm1 and the q, k, v of a block.
class ClassAttention {
 public:
  ClassAttention(const BlockReading& reading, bool prepack, int64_t rows);

  struct Values {
    at::Tensor q, k, v;  // (B,H,N,d), q and k after their norms
  };
  Values project(const at::Tensor& x) const;
  // The class row from q of token 0 and all k (spec/daam.md 1.2), and the contribution from v along the pulled
  // direction (3.2, I4).
  BlockAnswer answer(const Values& values, const BlockProbe& probe) const;
  double scale() const { return scale_; }
  const NormReading& norm1() const { return norm1_; }
  const NormReading& q_norm() const { return q_norm_; }
  const NormReading& k_norm() const { return k_norm_; }
  const Linear& qkv() const { return qkv_; }

 private:
  NormReading norm1_, q_norm_, k_norm_;
  Linear qkv_;
  int64_t heads_, head_width_;
  double scale_;
};

// The layers of own block code. LayerScale is folded into the weights and biases of the branch it scales.
struct BlockParts {
  ClassAttention attention;
  NormReading attention_norm, norm2, mlp_norm;
  Linear proj, fc1, fc2;
  at::Tensor projection_weight;  // proj's, dense
  Activation activation;
  int64_t heads, head_width;
};

class Block {
 public:
  virtual ~Block() = default;
  // x (B,N,D) -> (B,N,D). Fills `answer` where the probe asks.
  virtual at::Tensor forward(const at::Tensor& x, const BlockProbe& probe, BlockAnswer& answer) const = 0;
  // Direction u (D) of the residual stream seen from the head outputs: (H,d).
  virtual at::Tensor pull(const at::Tensor& direction) const = 0;
  // Null for a black box.
  virtual const BlockParts* parts() const { return nullptr; }
};

at::Tensor layer_norm(const at::Tensor& x, const NormReading& norm);

// Own code.
std::unique_ptr<Block> make_own_block(const BlockReading& reading, bool prepack, int64_t rows);
// Calls the module's forward; probes are recomputed from norm1 and attn.qkv. Without a known attention they throw.
std::unique_ptr<Block> make_black_box_block(const BlockReading& reading);

}  // namespace kfd::engine
