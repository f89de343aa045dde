#include "tools/bench_load.h"

#include <cmath>

namespace sluice::tools {

BenchLoad::BenchLoad(const Options& options, BenchPayload& payload)
    : options_(options),
      payload_(payload),
      slots_(options.outstanding),
      producers_(options.producers ? options.groups : 0),
      acked_(options.groups) {
  free_.reserve(slots_.size());
  for (std::size_t tag = slots_.size(); tag > 0; --tag)
    free_.push_back(static_cast<std::uint32_t>(tag - 1));
  for (Producer& producer : producers_) renew(producer);
}

void BenchLoad::renew(Producer& producer) {
  producer.id = ProducerId((options_.run_id + producers_made_++) | 1ull << 63);
  producer.next = Sequence(1);
}

void BenchLoad::start(std::uint64_t now_ns) {
  running_ = true;
  start_ns_ = now_ns;
}

void BenchLoad::finish(std::uint64_t end_ns) {
  if (options_.rate <= 0) return stop();
  end_ns_ = end_ns;
}

void BenchLoad::stop() {
  unsent_ = unsent_now();
  running_ = false;
}

std::uint64_t BenchLoad::remembered() const {
  std::uint64_t sum = 0;
  for (const AckedIndex& group : acked_) sum += group.count();
  return sum;
}

std::uint64_t BenchLoad::due_ns(std::uint64_t number) const {
  return start_ns_ + static_cast<std::uint64_t>(static_cast<double>(number) * 1e9 / options_.rate);
}

std::uint64_t BenchLoad::next_due_ns() const {
  if (!running_ || options_.rate <= 0 || free_.empty()) return 0;
  const std::uint64_t due = due_ns(next_number_);
  return due < end_ns_ ? due : 0;
}

std::uint64_t BenchLoad::next_turn_ns() const {
  const std::uint64_t due = next_due_ns();
  const bool several = options_.rate * static_cast<double>(kSliceNs) > 1e9;
  return due != 0 && several ? due + kSliceNs : due;
}

std::uint64_t BenchLoad::unsent_now() const {
  if (!running_ || end_ns_ == kNever || due_ns(next_number_) >= end_ns_) return 0;
  const std::uint64_t late_ns = end_ns_ - due_ns(next_number_);
  return static_cast<std::uint64_t>(std::ceil(static_cast<double>(late_ns) / 1e9 * options_.rate));
}

void BenchLoad::on_append(std::uint64_t tag, const client::AppendOutcome& outcome,
                          std::uint64_t now_ns) {
  const Slot slot = slots_[tag];
  free_.push_back(static_cast<std::uint32_t>(tag));
  const auto group = static_cast<std::size_t>(slot.number % options_.groups);
  if (outcome.status == client::Status::kOk) {
    ++acknowledged_;
    recent_.record(now_ns > slot.from_ns ? now_ns - slot.from_ns : 0);
    if (!acked_[group].record(outcome.index, slot.number)) contradicted_ = true;
    return;
  }
  ++(outcome.status == client::Status::kUnknown ? unknown_ : refused_);
  // What is behind a hole in a producer's sequences is refused: go on under a new name.
  if (options_.producers) renew(producers_[group]);
}

}  // namespace sluice::tools
