#include "tests/segments/directory.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "segments/names.h"
#include "wire/check.h"

namespace sluice::segments::test {

AlignedFile::AlignedFile(const MemoryDisk::Bytes& bytes)
    : memory_(bytes.size() + 1), size_(bytes.size()) {
  std::ranges::copy(bytes, memory_.span().begin());
}

std::expected<Recovered, std::vector<Damage>> recover_directory(const Options& options,
                                                                const MemoryDisk& disk) {
  std::vector<SegmentScan> scans;
  std::vector<OtherFile> others;
  Replay replay;
  for (const std::string& name : disk.names()) {
    if (!parse_segment_name(name)) {
      others.push_back({name, disk.size(name)});
      continue;
    }
    AlignedFile file(disk.read(name));
    scans.push_back(
        scan_segment(options, name, file.span(),
                     [&](const FoundChunk&, const Record& record) { replay.add(record); }));
  }
  std::ranges::reverse(scans);  // any order will do
  auto verdict = judge(options, std::move(scans), std::move(others));
  if (!verdict) return std::unexpected(std::move(verdict.error()));
  auto groups = replay.finish(*verdict);
  if (!groups) return std::unexpected(std::move(groups.error()));
  return Recovered{std::move(*verdict), std::move(*groups), replay.peers()};
}

void apply_step(MemoryDisk& disk, const SegmentLog& log, const FileStep& step) {
  switch (step.kind) {
    case FileStep::Kind::kCreate:
      disk.create(step.name);
      break;
    case FileStep::Kind::kAllocate:
      disk.write(disk.inode(step.name), 0, std::vector<std::byte>(step.size_bytes));
      break;
    case FileStep::Kind::kZeroFill:
      disk.write(disk.inode(step.name), step.offset, std::vector<std::byte>(step.size_bytes));
      break;
    case FileStep::Kind::kSyncFile:
      disk.sync(disk.inode(step.name));
      break;
    case FileStep::Kind::kWriteHeader:
      SLUICE_CHECK(disk.size(step.name) == log.options().segment_bytes);
      disk.write(disk.inode(step.name), 0, log.header_bytes());
      break;
    case FileStep::Kind::kRename:
      disk.rename(step.name, step.new_name);
      break;
    case FileStep::Kind::kSyncDirectory:
      disk.sync_directory();
      break;
    case FileStep::Kind::kUnlink:
      disk.unlink(step.name);
      break;
  }
}

Stream::Stream(Options options)
    : options_(std::move(options)),
      log_(std::make_unique<SegmentLog>(options_, StreamEnd{})),
      buffer_(options_.chunk_bytes_max) {
  run_steps();
}

void Stream::run_steps() {
  while (const auto step = log_->next_step()) {
    apply_step(disk_, *log_, *step);
    log_->step_done();
  }
}

void Stream::open() {
  run_steps();
  SLUICE_CHECK(log_->open_chunk(buffer_.span()));
}

Stream::Chunk Stream::close(Arrives arrives) {
  const ChunkWrite write = log_->close_chunk();
  const Chunk chunk{write.seq, write.epoch, segment_name(write.epoch), write.offset,
                    write.bytes.size()};
  if (arrives == Arrives::kYes) {
    this->write(chunk.file, chunk.offset, write.bytes);
    log_->on_written(chunk.seq);
    log_->on_durable(log_->written_seq());
  } else {
    not_landed_[{chunk.file, chunk.offset}] = {write.bytes.begin(), write.bytes.end()};
  }
  run_steps();
  return chunk;
}

void Stream::land(const Chunk& chunk) {
  write(chunk.file, chunk.offset, not_landed_.at({chunk.file, chunk.offset}));
}

Stream::Chunk Stream::append(std::size_t entry_bytes, Arrives arrives) {
  open();
  const SealedBatch batch({.group = GroupId(7),
                           .term = Term(2),
                           .first_index = index_.last_index().next(),
                           .previous_checksum = index_.last_checksum(),
                           .entries = {std::string(entry_bytes, 'e')}},
                          options_);
  const auto placed = log_->append_batch(batch.view());
  SLUICE_CHECK(placed.has_value());
  index_.append(batch.view(), placed->location);
  return close(arrives);
}

Stream::Chunk Stream::mark() {
  open();
  return close(Arrives::kYes);
}

Stream::Chunk Stream::roll_over() {
  const Epoch before = append().epoch;
  for (;;) {
    const Chunk chunk = append();
    if (chunk.epoch != before) return chunk;
  }
}

Stream::Chunk Stream::trim(std::size_t batches, Arrives arrives) {
  open();
  index_.trim_to(index_.batch(batches - 1).last_index().next(), [&](const GroupIndex::Entry& e) {
    log_->release(e.location.epoch, RecordKind::kBatch);
  });
  const auto at = log_->append_trim(GroupId(7), index_.start());
  SLUICE_CHECK(at.has_value());
  if (trim_at_) log_->release(trim_at_->epoch, RecordKind::kTrim);
  trim_at_ = *at;
  return close(arrives);
}

void Stream::restart() {
  auto found = recover();
  SLUICE_CHECK(found.has_value());
  const auto group = found->groups.find(GroupId(7));
  index_ = group == found->groups.end() ? GroupIndex() : group->second.index;
  trim_at_ = group == found->groups.end() ? std::nullopt : group->second.trim_at;
  log_ = std::make_unique<SegmentLog>(options_, found->verdict.end);
  run_steps();
}

std::string Stream::damage() const {
  const auto found = recover();
  if (found) return "";
  std::string lines;
  for (const Damage& damage : found.error()) lines += damage.what + "\n";
  return lines;
}

void Stream::write(const std::string& file, std::uint64_t offset,
                   std::span<const std::byte> bytes) {
  disk_.land(disk_.submit(disk_.inode(file), offset, bytes), true);
}

void Stream::flip(const Chunk& chunk, std::uint64_t at) {
  disk_.flip(chunk.file, chunk.offset + at, std::byte{1});
}

void Stream::zero(const Chunk& chunk, std::uint64_t at, std::size_t bytes) {
  write(chunk.file, chunk.offset + at, std::vector<std::byte>(bytes));
}

MemoryDisk::Bytes Stream::bytes_of(const Chunk& chunk) const {
  const auto file = disk_.read(chunk.file);
  const auto begin = file.begin() + static_cast<std::ptrdiff_t>(chunk.offset);
  return {begin, begin + static_cast<std::ptrdiff_t>(chunk.size_bytes)};
}

}  // namespace sluice::segments::test
