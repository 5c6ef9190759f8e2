// From the layout's coordinates to the screen's and back.

export interface Camera {
  x: number;
  y: number;
  scale: number;
}

export interface Box {
  width: number;
  height: number;
}

const MARGIN = 34;
/** The legend lies along the lower edge. */
const FOOT = 22;
const [SMALLEST, LARGEST] = [0.004, 3];

export function fit(content: Box, screen: Box): Camera {
  const scale = Math.min(
    1.15,
    (screen.width - 2 * MARGIN) / Math.max(content.width, 1),
    (screen.height - 2 * MARGIN - FOOT) / Math.max(content.height, 1),
  );
  const clamped = Math.max(SMALLEST, scale);
  return {
    scale: clamped,
    x: (screen.width - content.width * clamped) / 2,
    y: (screen.height - FOOT - content.height * clamped) / 2,
  };
}

/** Zooms about a point of the screen, which stays where it is. */
export function zoom(camera: Camera, factor: number, at: { x: number; y: number }): Camera {
  const scale = Math.min(LARGEST, Math.max(SMALLEST, camera.scale * factor));
  const ratio = scale / camera.scale;
  return { scale, x: at.x - (at.x - camera.x) * ratio, y: at.y - (at.y - camera.y) * ratio };
}

export function toWorld(camera: Camera, x: number, y: number): { x: number; y: number } {
  return { x: (x - camera.x) / camera.scale, y: (y - camera.y) / camera.scale };
}

/** Moves the camera just enough to bring a point of the layout well inside the screen. */
export function reveal(camera: Camera, world: { x: number; y: number }, screen: Box): Camera {
  const [x, y] = [world.x * camera.scale + camera.x, world.y * camera.scale + camera.y];
  const inside = (value: number, most: number) => Math.min(Math.max(value, MARGIN), most - MARGIN);
  return { ...camera, x: camera.x + inside(x, screen.width) - x, y: camera.y + inside(y, screen.height) - y };
}
