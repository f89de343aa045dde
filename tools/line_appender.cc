#include "tools/line_appender.h"

#include <algorithm>
#include <utility>

#include "tools/text.h"

namespace sluice::tools {

LineAppender::LineAppender(const Options& options, RandomId random, OnFailed on_failed)
    : options_(options), random_(std::move(random)), on_failed_(std::move(on_failed)) {
  renew_producer();
}

void LineAppender::renew_producer() {
  do {
    producer_ = ProducerId(random_());
  } while (producer_ == kNoProducer);
  next_sequence_ = Sequence(1);
  broken_ = false;
}

bool LineAppender::has_room() const {
  return outstanding_ + waiting_.size() < options_.lines_max && bytes_ < options_.bytes_max;
}

void LineAppender::add(std::uint64_t line, std::string_view text) {
  bytes_ += text.size();
  waiting_.push_back({line, std::string(text)});
}

void LineAppender::submit(client::Client& client) {
  if (broken_) {
    if (outstanding_ > 0) return;
    renew_producer();
    std::ranges::sort(waiting_, {}, &Line::number);
  }
  while (!waiting_.empty()) {
    if (free_.empty()) {
      free_.push_back(static_cast<std::uint32_t>(slots_.size()));
      slots_.emplace_back();
    }
    const std::uint32_t tag = free_.back();
    free_.pop_back();
    slots_[tag] = std::move(waiting_.front());
    waiting_.pop_front();
    ++outstanding_;
    client::AppendOptions append;
    append.group = options_.group;
    append.producer = producer_;
    append.sequence = next_sequence_;
    append.timeout_ms = options_.timeout_ms;
    client.append(tag, append, as_bytes(slots_[tag].text));
    next_sequence_ = next_sequence_.next();
  }
}

void LineAppender::on_append(std::uint64_t tag, const client::AppendOutcome& outcome) {
  Line line = std::move(slots_[tag]);
  free_.push_back(static_cast<std::uint32_t>(tag));
  --outstanding_;
  if (outcome.status == client::Status::kOk) {
    ++acknowledged_;
    last_index_ = std::max(last_index_, outcome.index);
    bytes_ -= line.text.size();
    return;
  }
  // Only a line that is in no log may go out under another producer.
  broken_ = true;
  if (outcome.status == client::Status::kRefused && outcome.code == Errc::kSequenceGap) {
    waiting_.push_back(std::move(line));
    return;
  }
  bytes_ -= line.text.size();
  on_failed_(line.number, outcome);
}

}  // namespace sluice::tools
