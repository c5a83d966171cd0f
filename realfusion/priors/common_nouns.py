"""Names of things that people photograph: candidates for an object's class word."""

from __future__ import annotations

_ANIMALS = """
cat dog horse cow sheep goat pig rabbit mouse hamster squirrel fox wolf bear lion tiger
leopard elephant giraffe zebra monkey gorilla panda koala kangaroo deer camel donkey
hedgehog bat bird owl eagle parrot penguin duck goose swan chicken rooster turkey
flamingo pigeon fish shark dolphin whale seal octopus crab lobster snail turtle frog
snake lizard crocodile dinosaur dragon unicorn butterfly bee beetle spider ant
"""
_FOOD = """
apple pear orange lemon banana grape cherry strawberry peach pineapple watermelon
coconut avocado tomato potato onion carrot cucumber pumpkin mushroom corn pepper
broccoli cabbage garlic egg bread cake pie cookie donut croissant muffin pancake
sandwich burger hamburger pizza hotdog taco sushi cheese chocolate candy lollipop
"""
_HOUSEHOLD = """
chair armchair stool sofa bench table desk bed pillow cabinet shelf drawer wardrobe lamp
candle lantern chandelier mirror clock vase pot basket bucket box crate barrel jar
bottle can cup mug glass bowl plate teapot kettle pitcher pan spoon fork knife toaster
blender oven fridge fan heater vacuum broom brush sponge soap towel toilet bathtub sink
faucet bin key lock door umbrella
"""
_CLOTHING = """
shoe boot sneaker sandal slipper sock hat cap helmet crown glove scarf tie shirt jacket
coat dress skirt belt bag handbag backpack suitcase purse wallet watch ring necklace
glasses mask
"""
_VEHICLES = """
car truck van bus taxi jeep tractor motorcycle bicycle skateboard train locomotive tram
ship boat canoe submarine airplane helicopter balloon rocket spaceship satellite tank
wagon
"""
_TOOLS = """
hammer screwdriver wrench drill saw axe shovel rake scissors ruler pencil pen book
notebook globe calculator laptop keyboard monitor television radio phone camera
microphone headphones speaker robot drone battery flashlight telescope microscope anchor
wheel gear magnet cannon sword shield gun
"""
_MUSIC_AND_PLAY = """
guitar violin cello piano drum trumpet saxophone flute harp accordion bell doll teddy
puppet toy dice chess ball football basketball baseball racket bat puzzle kite trophy
medal sled tent
"""
_PLACES_AND_PLANTS = """
house castle tower church temple barn lighthouse windmill bridge fountain statue bust
column gate fence tree cactus bonsai plant flower rose tulip sunflower leaf log rock
shell skull bone acorn snowman sculpture figurine gnome fairy knight pirate astronaut
skeleton
"""

COMMON_NOUNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        " ".join(
            (
                _ANIMALS,
                _FOOD,
                _HOUSEHOLD,
                _CLOTHING,
                _VEHICLES,
                _TOOLS,
                _MUSIC_AND_PLAY,
                _PLACES_AND_PLANTS,
            )
        ).split()
    )
)
"""Each once, in groups of like things."""
