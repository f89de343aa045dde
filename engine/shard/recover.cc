#include "engine/shard/recover.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/io/buffer.h"
#include "engine/shard/blocking.h"
#include "engine/shard/groups.h"
#include "segments/names.h"
#include "segments/replay.h"

namespace sluice::shard {
namespace {

/// Of one read, and one at a time, so that the writes of others on the same disk pass between two of
/// them; large enough for a disk at the end of a network.
constexpr std::size_t kReadBytes = 1u << 20;

std::string failed(const std::string& what, int error) {
  return what + " failed: " + std::strerror(error);
}

/// Reads a whole file into `buffer`, which grows as needed. Returns its size.
std::expected<std::size_t, std::string> read_file(io::Io& io, const std::string& path, bool direct,
                                                  io::AlignedBuffer& buffer) {
  int error = 0;
  const auto size = io.file_size(path.c_str(), error);
  if (!size) return std::unexpected(failed("asking for the size of " + path, error));
  const std::size_t rounded =
      (*size + segments::kBlockBytes - 1) / segments::kBlockBytes * segments::kBlockBytes;
  if (buffer.size_bytes() < rounded) buffer = io::AlignedBuffer(rounded);
  const auto handle =
      run_blocking(io, [&](io::Completion& c) { io.open(c, path.c_str(), {.direct = direct}); });
  if (handle < 0) return std::unexpected(failed("opening " + path, -handle));
  const auto file = static_cast<io::Handle>(handle);
  std::size_t filled = 0;
  while (filled < *size) {
    const std::size_t wanted = std::min(kReadBytes, rounded - filled);
    const auto got = run_blocking(io, [&](io::Completion& c) {
      io.read(c, file, buffer.span().subspan(filled, wanted), filled);
    });
    if (got < 0) {
      io.close(file);
      return std::unexpected(failed("reading " + path, -got));
    }
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  io.close(file);
  return std::min<std::size_t>(filled, *size);
}

/// Whether files of the directory can be opened with O_DIRECT (tmpfs of older kernels has none).
bool supports_direct(io::Io& io, const std::string& directory) {
  const std::string path = directory + "/probe";
  const auto handle = run_blocking(
      io, [&](io::Completion& c) { io.open(c, path.c_str(), {.create = true, .direct = true}); });
  if (handle >= 0) io.close(static_cast<io::Handle>(handle));
  (void)run_blocking(io, [&](io::Completion& c) { io.unlink(c, path.c_str()); });
  return handle >= 0;
}

/// The producers' table and the trims of a group's surviving batches, in the order of the log.
void replay_batches(const segments::GroupState& state, RecoveredGroup& group) {
  for (std::size_t i = 0; i < state.batches.size(); ++i) {
    const auto& entry = group.index.batch(i);
    const segments::BatchFacts& batch = state.batches[i];
    if (batch.kind == BatchKind::kTrim) {
      group.pending_trims.push_back(
          {entry.last_index(), trim_target(BatchView::trusted(batch.bytes))});
    }
    if (batch.producer == kNoProducer) continue;
    group.sessions.add(batch.producer,
                       {batch.first_sequence, entry.first_index, entry.term, entry.entry_count});
  }
}

/// What was trimmed away and is still to be remembered. False: the snapshot makes no sense.
bool restore_producers(const segments::GroupState& state, RecoveredGroup& group) {
  // Newest piece first: each adds what is older than what is there.
  for (auto piece = state.producers.rbegin(); piece != state.producers.rend(); ++piece) {
    if (!group.sessions.restore(piece->bytes)) return false;
    group.producers_at.push_back(piece->location);
  }
  return true;
}

std::string damaged(const std::string& directory, const std::vector<segments::Damage>& damage) {
  std::string line = "the log in " + directory +
                     " is damaged, and the node will not guess: " + damage.front().what;
  if (damage.size() > 1) line += " (and " + std::to_string(damage.size() - 1) + " more)";
  return line + "; see 'sluice inspect', then restore the files, or replace this node";
}

}  // namespace

raft::LogView RecoveredGroup::log_view() const {
  raft::LogView log(index.start().prev_index, index.start().prev_term);
  for (std::size_t i = 0; i < index.batch_count(); ++i) {
    log.append(index.batch(i).term, index.batch(i).entry_count);
  }
  return log;
}

std::expected<Recovered, std::string> recover(io::Io& io, const std::string& directory,
                                              const segments::Options& options,
                                              std::uint32_t producers_max) {
  // Before the listing: it may take away what a start that was killed left of its own probe.
  const bool direct = supports_direct(io, directory);
  int error = 0;
  const auto names = io.list_directory(directory.c_str(), error);
  if (!names) return std::unexpected(failed("listing " + directory, error));

  Recovered recovered;
  recovered.direct = direct;
  segments::Replay replay;
  std::vector<segments::SegmentScan> scans;
  std::vector<segments::OtherFile> others;
  io::AlignedBuffer buffer;
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    if (!segments::parse_segment_name(name)) {
      const auto size = io.file_size(path.c_str(), error);
      if (!size && error == ENOENT) continue;  // the last unlink of a killed process came late
      if (!size) return std::unexpected(failed("asking for the size of " + path, error));
      others.push_back({name, *size});
      continue;
    }
    const auto size = read_file(io, path, direct, buffer);
    if (!size) return std::unexpected(size.error());
    recovered.bytes_read += *size;
    scans.push_back(segments::scan_segment(
        options, name, std::span<const std::byte>(buffer.span()).first(*size),
        [&](const segments::FoundChunk&, const segments::Record& record) { replay.add(record); }));
  }

  auto verdict = segments::judge(options, std::move(scans), std::move(others));
  if (!verdict) return std::unexpected(damaged(directory, verdict.error()));
  auto groups = replay.finish(*verdict);
  if (!groups) return std::unexpected(damaged(directory, groups.error()));

  for (auto& [id, state] : *groups) {
    RecoveredGroup group(producers_max);
    group.hard_state = {state.hard_state.term, state.hard_state.vote};
    group.index = std::move(state.index);
    group.hard_state_at = state.hard_state_at.value_or(segments::Location{});
    group.trim_at = state.trim_at.value_or(segments::Location{});
    for (std::size_t i = 0; i < group.index.batch_count(); ++i) {
      recovered.batch_bytes_max =
          std::max(recovered.batch_bytes_max, group.index.batch(i).location.size_bytes);
    }
    replay_batches(state, group);
    if (!restore_producers(state, group)) {
      return std::unexpected("the log in " + directory + " is damaged: the producers of group " +
                             std::to_string(id.value()) + " make no sense");
    }
    recovered.groups.emplace(id, std::move(group));
  }
  recovered.peers = replay.peers();
  recovered.end = std::move(verdict->end);
  recovered.torn_tail = verdict->torn_tail;
  return recovered;
}

}  // namespace sluice::shard
